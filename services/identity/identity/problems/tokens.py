"""What is refused at sign-in and at the token endpoint."""

from typing import Any

from common.problems import Conflict, Problem, Unauthorized, Unavailable

__all__ = [
    "AccountSuspended",
    "InvalidClient",
    "OAuthRefused",
    "OriginNotRegistered",
    "RefreshRefused",
    "SignInRefused",
    "SigningKeyMissing",
    "SigningKeyNeeded",
    "SystemNotUsable",
]


class SignInRefused(Unauthorized):
    """401: unknown login, wrong password, wrong or used code, or locked for a while: the answer is the same."""

    slug = "sign-in-refused"
    zh, en = (
        "登录名、密码或验证码不正确，或多次失败后暂时锁定",
        "Login, password or code is not right, or locked for a while after failures",
    )
    recorded = True


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


class OAuthRefused(Problem):
    """400 as RFC 6749 §5.2 says, with its `error` member beside those of RFC 9457; `reason` says why."""

    slug, status = "oauth-refused", 400
    zh, en = "未能签发令牌", "No token is issued"
    clause = "7.6"
    recorded = True

    def __init__(self, error: str, reason: str, **extra: Any) -> None:
        super().__init__(error=error, error_description=reason, reason=reason, **extra)
        # RFC 6749 asks for this media type; the members of a problem are no less readable in it.
        self.headers |= {"Content-Type": "application/json", "Pragma": "no-cache"}


class InvalidClient(OAuthRefused):
    """401: unknown client or wrong secret."""

    slug, status = "invalid-client", 401
    zh, en = "客户端标识或密钥不正确", "Client or secret is not right"

    def __init__(self) -> None:
        super().__init__("invalid_client", "client")
        self.headers["WWW-Authenticate"] = 'Basic realm="xindun", charset="UTF-8"'


class SystemNotUsable(OAuthRefused):
    """401: the secret is right, and the system or its unit is not in good standing; `reason` says which."""

    slug, status = "system-suspended", 401
    zh, en = "接入系统或其单位未批准、已暂停或已停用", "The system or its unit is not approved, suspended or ended"
    clause = "5d.3"


class OriginNotRegistered(OAuthRefused):
    """403: the request comes from a network that is not registered for the system."""

    slug, status = "origin-not-registered", 403
    zh, en = "网络来源未登记", "The network origin is not registered"
    clause = "5d.3"


class SigningKeyMissing(Unavailable):
    """503: this process has no key with which it may sign: each is retired, or not known everywhere yet."""

    slug = "signing-key-missing"
    zh, en = "暂无可用的签名密钥", "There is no key to sign with now"


class SigningKeyNeeded(Conflict):
    """409: tokens that the key signed are in force, or no other key signs."""

    slug = "signing-key-needed"
    zh, en = "该密钥签发的令牌仍在有效期内", "Tokens that the key signed are in force"
