"""Problems of applications."""

from common.problems import Conflict, Forbidden, Invalid, NotFound


class BeyondOpening(Forbidden):
    """403: the application asks for more than is open; `beyond` names the excess."""

    slug = "beyond-opening"
    zh, en = "申请超出开放范围", "The application asks for more than is open"
    clause = "10.2"


class SystemNotUsable(NotFound):
    """404: the unit has no such approved connected system."""

    slug = "system-not-usable"
    zh, en = (
        "本单位没有已批准且未暂停的该接入系统",
        "The unit has no such connected system that is approved and not suspended",
    )
    clause = "5d.3"


class OriginOutsideSystems(Invalid):
    """422: an origin lies outside of what is registered for the systems."""

    slug = "origin-outside-systems"
    zh, en = "网络来源超出接入系统登记范围", "An origin lies outside of what is registered for the systems"
    clause = "5d.3"


class SameHands(Forbidden):
    """403: applicant, adviser and decider are different persons (P6)."""

    slug = "same-hands"
    zh, en = "申请、提出意见、审批须由不同人员办理", "Applying, advising and deciding take different people"
    clause = "10.2"


class ApplicationStep(Conflict):
    """409: the state of the application does not allow the step."""

    slug = "application-step"
    zh, en = "申请当前状态不允许此操作", "The state of the application does not allow this step"


class TermOver(Conflict):
    """409: the end that the application names has passed (P7)."""

    slug = "term-over"
    zh, en = "申请的截止时间已过", "The end that the application names has passed"
    clause = "10.3"
