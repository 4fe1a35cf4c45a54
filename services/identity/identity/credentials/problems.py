"""Problems of credentials."""

from common.problems import Invalid, Unavailable


class TooManyLogins(Unavailable):
    """503: the queue of password checks is full."""

    slug = "too-many-logins"
    zh, en = "登录请求过多，请稍后再试", "Too many people are logging in: try again shortly"


class WeakPassword(Invalid):
    """422: the password can be guessed; `weaknesses` says why."""

    slug = "password-weak"
    zh, en = "密码强度不足", "The password is too weak"
    clause = "7.6"
