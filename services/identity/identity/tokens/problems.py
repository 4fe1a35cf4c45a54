"""Problems of the token endpoints."""

from typing import Any

from common.problems import Problem


class OAuthRefused(Problem):
    """400 as RFC 6749 §5.2 says, with its `error` member beside those of RFC 9457; `reason` says why."""

    slug, status = "oauth-refused", 400
    zh, en = "未能签发令牌", "No token is issued"
    clause = "7.6"
    recorded = True

    def __init__(self, error: str, reason: str, **extra: Any) -> None:
        super().__init__(error=error, error_description=reason, reason=reason, **extra)
        # RFC 6749 requires this media type.
        self.headers |= {"Content-Type": "application/json", "Pragma": "no-cache"}


class InvalidClient(OAuthRefused):
    """401: unknown client or wrong secret."""

    slug, status = "invalid-client", 401
    zh, en = "客户端标识或密钥不正确", "Client or secret is not right"

    def __init__(self) -> None:
        super().__init__("invalid_client", "client")
        self.headers["WWW-Authenticate"] = 'Basic realm="xindun", charset="UTF-8"'


class OriginNotRegistered(OAuthRefused):
    """403: the request comes from a network that is not registered for the system."""

    slug, status = "origin-not-registered", 403
    zh, en = "网络来源未登记", "The network origin is not registered"
    clause = "5d.3"


class SystemNotUsable(OAuthRefused):
    """401: the secret is right, and the system or its unit is not in good standing; `reason` says which."""

    slug, status = "system-suspended", 401
    zh, en = "接入系统或其单位未批准、已暂停或已停用", "The system or its unit is not approved, suspended or ended"
    clause = "5d.3"
