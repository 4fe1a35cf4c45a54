"""What is refused about departures, handovers, policies and probes."""

from common.problems import Conflict, Forbidden, Invalid

__all__ = [
    "DepartureKnown",
    "DepartureStep",
    "DepartureTimes",
    "HandoverNotListed",
    "HandoverOpen",
    "HandoverStep",
    "ItemSettled",
    "NoteNeeded",
    "OwnDeparture",
    "PolicyOutOfBounds",
    "PolicyRetroactive",
    "ProbeImpossible",
    "SameHands",
]


class OwnDeparture(Forbidden):
    """403: who leaves does not report or cancel himself (P6)."""

    slug = "own-departure"
    zh, en = "不得办理本人的离岗", "Nobody handles the own departure"
    clause = "6.5"


class DepartureKnown(Conflict):
    """409: a different departure of this account was reported; `departure` is its file."""

    slug = "departure-known"
    zh, en = "该账号的离岗已报告，内容不同", "Another departure of this account was reported"
    clause = "6.5"


class DepartureTimes(Invalid):
    """422: a departure is reported when it has happened, or on the day before."""

    slug = "departure-times"
    zh, en = "离岗时间过晚", "The departure lies too far ahead"
    clause = "6.5"


class DepartureStep(Conflict):
    """409: the file's state does not allow the step."""

    slug = "departure-step"
    zh, en = "离岗档案当前状态不允许此操作", "The state of the departure does not allow this step"
    clause = "6.5"


class HandoverStep(Conflict):
    """409: the handover's state does not allow the step."""

    slug = "handover-step"
    zh, en = "交接当前状态不允许此操作", "The state of the handover does not allow this step"
    clause = "6.6"


class HandoverNotListed(Conflict):
    """409: what the person held is still being listed, or the handover is complete."""

    slug = "handover-not-listed"
    zh, en = "交接清单尚未形成或交接已完成", "The list is not complete yet, or the handover is"
    clause = "6.6"


class HandoverOpen(Conflict):
    """409: items are not settled yet; `open` counts them."""

    slug = "handover-open"
    zh, en = "尚有未交接事项", "Some items are not settled yet"
    clause = "6.6"


class ItemSettled(Conflict):
    """409: an item is settled once."""

    slug = "item-settled"
    zh, en = "该事项已交接", "The item is settled already"
    clause = "6.6"


class SameHands(Forbidden):
    """403: who leaves settles nothing, who took over does not countersign (P6)."""

    slug = "same-hands"
    zh, en = "离岗、接收、会签须为不同人员", "Leaving, taking over and countersigning take different people"
    clause = "6.6"


class NoteNeeded(Invalid):
    """422: destruction is stated with how it was done."""

    slug = "note-needed"
    zh, en = "销毁须说明方式", "State how it was destroyed"
    clause = "6.6"


class PolicyOutOfBounds(Invalid):
    """422: the value is outside of `least` and `most`."""

    slug = "policy-out-of-bounds"
    zh, en = "规则取值超出允许范围", "The value of the policy is out of bounds"
    clause = "15.1"


class PolicyRetroactive(Invalid):
    """422: a version holds from now or later, and not before the newest one."""

    slug = "policy-retroactive"
    zh, en = "规则不得溯及既往", "A policy holds from now or later"
    clause = "15.1"


class ProbeImpossible(Conflict):
    """409: the order gives no credential of this kind for this subject."""

    slug = "probe-impossible"
    zh, en = "无法签发该探测凭证", "No such probe credential can be issued"
    clause = "12.3"
