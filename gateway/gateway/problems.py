"""Problems of the gateway itself: the service cannot be reached, or its response was lost."""

from common.problems import Problem, Unavailable


class BadRequest(Problem):
    """400: the request is ambiguous, so it is not forwarded."""

    slug, status = "bad-request", 400
    zh, en = "请求无法解析", "The request cannot be read"


class ServiceUnavailable(Unavailable):
    """503: no replica accepted the request, or repeating it is safe; `service` names the service."""

    slug = "service-unavailable"
    zh, en = "服务暂时无法访问", "The service cannot be reached now"


class Overloaded(Unavailable):
    """503: every connection to the service is in use; `service` names the service."""

    slug = "overloaded"
    zh, en = "服务繁忙", "The service is busy"


class OutcomeUnknown(Problem):
    """502: the response was lost, so the service may have carried the request out or not."""

    slug, status = "outcome-unknown", 502
    zh, en = "请求结果未知", "The outcome of the request is not known"

    def __init__(self, service: str) -> None:
        super().__init__(
            "服务未答复连接即中断，请求可能已执行，也可能未执行。请先查询状态；写请求带 Idempotency-Key 则可安全重复",
            "The connection ended before the service answered: the request may have been carried out or not. Look before you"
            " repeat it, and send writes with an Idempotency-Key, which makes repeating safe",
            service=service,
        )


class BadAnswer(Problem):
    """502: the service's response is not valid HTTP, or exceeds a limit."""

    slug, status = "bad-answer", 502
    zh, en = "服务的答复无法解析", "The service's answer cannot be read"
