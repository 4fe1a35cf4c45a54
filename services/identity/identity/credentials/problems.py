"""Problems of credentials."""

from common.problems import Invalid


class WeakPassword(Invalid):
    """422: the password can be guessed; `weaknesses` says why."""

    slug = "password-weak"
    zh, en = "密码强度不足", "The password is too weak"
    clause = "7.6"
