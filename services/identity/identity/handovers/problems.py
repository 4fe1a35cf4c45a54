"""Problems of handovers."""

from common.problems import Conflict, Forbidden, Invalid


class HandoverStep(Conflict):
    """409: the handover's state does not allow the step."""

    slug = "handover-step"
    zh, en = "交接当前状态不允许此操作", "The state of the handover does not allow this step"
    clause = "6.6"


class HandoverNotListed(Conflict):
    """409: the list of items is not complete yet, or the handover is completed."""

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
    """403: the leaving person settles nothing, and a successor does not countersign (P6)."""

    slug = "same-hands"
    zh, en = "离岗、接收、会签须为不同人员", "Leaving, taking over and countersigning take different people"
    clause = "6.6"


class NoteNeeded(Invalid):
    """422: destruction is stated with how it was done."""

    slug = "note-needed"
    zh, en = "销毁须说明方式", "State how it was destroyed"
    clause = "6.6"
