"""Problems of grants."""

from common.problems import Conflict, Forbidden


class GrantStep(Conflict):
    """409: the state of the grant does not allow the step."""

    slug = "grant-step"
    zh, en = "授权当前状态不允许此操作", "The state of the grant does not allow this step"


class ContainmentHolds(Forbidden):
    """403: only two persons together lift a suspension by a containment order (P6)."""

    slug = "containment-holds"
    zh, en = "遏制指令造成的暂停只能经双人批准解除", "A suspension by containment is lifted by two people only"
    clause = "12.3"
