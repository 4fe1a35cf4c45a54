"""Problems of accounts and activation."""

from common.problems import Conflict, Forbidden, Invalid, Unauthorized


class AccountStep(Conflict):
    """409: the account's state does not allow the step."""

    slug = "account-step"
    zh, en = "账号当前状态不允许此操作", "The state of the account does not allow this step"


class ActivationRefused(Unauthorized):
    """401: unknown login, wrong, used or expired code, or wrong second factor: the answer is the same."""

    slug = "activation-refused"
    zh, en = "激活码或验证码无效、已使用或已过期", "The code is wrong, used or expired"
    recorded = True


class IdNumberInvalid(Invalid):
    """422: not a number of a resident identity card."""

    slug = "id-number-invalid"
    zh, en = "公民身份号码无效", "The resident identity number is not valid"
    clause = "7.6"


class LoginTaken(Conflict):
    """409: another live account has this login."""

    slug = "login-taken"
    zh, en = "登录名已被使用", "The login is taken"


class OwnAccount(Forbidden):
    """403: a person does not suspend or reinstate themselves (P6)."""

    slug = "own-account"
    zh, en = "不得对本人账号执行此操作", "You cannot do this to your own account"
    clause = "6.5"


class PersonHasAccount(Conflict):
    """409: the person has a live account, here or in another unit."""

    slug = "person-has-account"
    zh, en = "该人员已有账号（一人一号）", "This person has an account already: one person, one account"
    clause = "7.6"
    recorded = True


class PersonsOnly(Forbidden):
    """403: for people, not for systems."""

    slug = "persons-only"
    zh, en = "仅限人员账号", "For people only"
    clause = "6.1"
