"""The problems that reports of breaches raise."""

from common.problems import Forbidden, Invalid, NotFound


class BreachUnknown(NotFound):
    """404: the breach does not exist, or belongs to another unit."""

    slug = "breach-not-found"
    zh, en = "未找到该安全事件", "There is no such breach"


class ScopeUnknown(NotFound):
    """404: an object of the scope does not exist, belongs to another unit, or is too new for this service's projection.

    `missing` quotes the ids of the request.
    """

    slug = "breach-scope-not-found"
    zh, en = "事件范围内有未找到的对象", "Something in the scope of the breach was not found"

    def __init__(self, missing: list[str]) -> None:
        super().__init__(
            "如对象刚刚登记，请按 Retry-After 稍后再报，报告内容不变",
            "If it was registered only just now, report the same again after Retry-After",
            headers={"Retry-After": "2"},
            missing=missing,
        )


class PersonNeeded(Forbidden):
    """403: only an accountable person reports a breach, or decides about its containment."""

    slug = "person-needed"
    zh, en = "须由个人账号报告", "A person has to report this"
    clause = "12.3"


class AuthorityReceivesReports(Forbidden):
    """403: the responsible unit reports to the authority; the authority cannot do it in its place."""

    slug = "authority-receives-reports"
    zh, en = "报告由安全责任单位提交，主管部门为接收方", "The responsible unit reports; the authority receives"
    clause = "12.5"


class FactImpossible(Invalid):
    """422: a time lies in the future, or the detection precedes the occurrence."""

    slug = "breach-fact-impossible"
    zh, en = "时间先后不合理", "The times contradict each other"
    clause = "12.3"
