"""Problems of sessions."""

from common.problems import Unauthorized


class AccountSuspended(Unauthorized):
    """401: both factors are right, and the account is suspended."""

    slug = "account-suspended"
    zh, en = "账号已暂停", "The account is suspended"
    clause = "6.5"
    recorded = True


class RefreshRefused(Unauthorized):
    """401: the refresh token proves nothing; `reason` is unknown, used, ended, expired, account or unit."""

    slug = "refresh-refused"
    zh, en = "会话已结束，请重新登录", "The session has ended: sign in again"
    recorded = True


class SignInRefused(Unauthorized):
    """401: unknown login, wrong password, wrong or used code, or locked for a while: the answer is the same."""

    slug = "sign-in-refused"
    zh, en = (
        "登录名、密码或验证码不正确，或多次失败后暂时锁定",
        "Login, password or code is not right, or locked for a while after failures",
    )
    recorded = True
