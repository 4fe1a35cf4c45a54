"""Problems of connected systems."""

from common.problems import Conflict, Forbidden, Invalid


class OriginInvalid(Invalid):
    """422: not a network that one connected system can own."""

    slug = "origin-invalid"
    zh, en = "网络来源无效或范围过大", "The network origin is not valid, or too wide"
    clause = "5d.3"


class ResponsibleUnknown(Invalid):
    """422: the responsible person has no account in good standing in the unit."""

    slug = "responsible-unknown"
    zh, en = "责任人须为本单位在用账号", "The responsible person must have a live account of the unit"
    clause = "5p.1"


class SystemStep(Conflict):
    """409: the system's state does not allow the step."""

    slug = "system-step"
    zh, en = "接入系统当前状态不允许此操作", "The state of the connected system does not allow this step"
    clause = "5d.3"


class ApproverRegistered(Forbidden):
    """403: the person who registered a system does not approve it (P6)."""

    slug = "same-hands"
    zh, en = "登记人不得批准", "Who registered it cannot approve it"
    clause = "5d.3"
