"""What the gateway itself answers when a service cannot be asked, or its answer not be had."""

from common.problems import Problem, Unavailable

__all__ = ["BadAnswer", "BadRequest", "OutcomeUnknown", "Overloaded", "ServiceUnavailable"]


class BadRequest(Problem):
    """400: the message cannot be handed on without doubt about where it ends."""

    slug, status = "bad-request", 400
    zh, en = "请求无法解析", "The request cannot be read"


class ServiceUnavailable(Unavailable):
    """503: no replica of the service could be asked, or repeating is safe; `service` names it."""

    slug = "service-unavailable"
    zh, en = "服务暂时无法访问", "The service cannot be reached now"


class Overloaded(Unavailable):
    """503: every connection to the service is in use; `service` names it."""

    slug = "overloaded"
    zh, en = "服务繁忙", "The service is busy"


class OutcomeUnknown(Problem):
    """502: the request reached a service whose answer was lost, so it may have been carried out or not."""

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
    """502: what the service said is no answer that could be handed on."""

    slug, status = "bad-answer", 502
    zh, en = "服务的答复无法解析", "The service's answer cannot be read"
