"""What is refused about units and connected systems."""

from common.problems import Conflict, Forbidden, Invalid

__all__ = [
    "ApproverRegistered",
    "CsvUnreadable",
    "OriginInvalid",
    "ResponsibleUnknown",
    "SystemStep",
    "UnitNotActive",
    "UnitNotSuspendable",
    "UnitStep",
]


class CsvUnreadable(Invalid):
    """422: the file as a whole is not what it should be; nothing of it was taken."""

    slug = "csv-unreadable"
    zh, en = "CSV 文件无法读取", "The CSV file cannot be read"
    clause = "4.1"


class UnitStep(Conflict):
    """409: the unit's state does not allow the step."""

    slug = "unit-step"
    zh, en = "单位当前状态不允许此操作", "The state of the unit does not allow this step"
    clause = "3.1"


class UnitNotSuspendable(Conflict):
    """409: without authority and center nobody could lift anything."""

    slug = "unit-not-suspendable"
    zh, en = "主管部门和信用中心不能被暂停或停用", "Authority and center cannot be suspended or decommissioned"


class UnitNotActive(Forbidden):
    """403: the unit is suspended or decommissioned."""

    slug = "unit-suspended"
    zh, en = "单位已被暂停或停用", "The unit is suspended or decommissioned"
    clause = "5d.3"


class OriginInvalid(Invalid):
    """422: not a network that one connected system can own."""

    slug = "origin-invalid"
    zh, en = "网络来源无效或范围过大", "The network origin is not valid, or too wide"
    clause = "5d.3"


class ResponsibleUnknown(Invalid):
    """422: the responsible person has no account in good standing in the own unit."""

    slug = "responsible-unknown"
    zh, en = "责任人须为本单位在用账号", "The responsible person must have a live account of the unit"
    clause = "5p.1"


class SystemStep(Conflict):
    """409: the system's state does not allow the step."""

    slug = "system-step"
    zh, en = "接入系统当前状态不允许此操作", "The state of the connected system does not allow this step"
    clause = "5d.3"


class ApproverRegistered(Forbidden):
    """403: who registered a system does not approve it (P6)."""

    slug = "same-hands"
    zh, en = "登记人不得批准", "Who registered it cannot approve it"
    clause = "5d.3"
