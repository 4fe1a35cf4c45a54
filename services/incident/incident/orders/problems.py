"""The problems that containment orders raise."""

from common.problems import Conflict


class OrderStepForbidden(Conflict):
    """409: the order's state does not allow the step."""

    slug = "containment-step-forbidden"
    zh, en = "遏制指令的当前状态不允许此操作", "The state of the containment order does not allow this"
    clause = "12.3"
