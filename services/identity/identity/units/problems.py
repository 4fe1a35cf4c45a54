"""Problems of units."""

from common.problems import Conflict, Forbidden, Invalid


class CsvUnreadable(Invalid):
    """422: the file is not CSV with the required columns; no unit was registered."""

    slug = "csv-unreadable"
    zh, en = "CSV 文件无法读取", "The CSV file cannot be read"
    clause = "4.1"


class UnitStep(Conflict):
    """409: the unit's state does not allow the step."""

    slug = "unit-step"
    zh, en = "单位当前状态不允许此操作", "The state of the unit does not allow this step"
    clause = "3.1"


class UnitNotSuspendable(Conflict):
    """409: authority and center must stay able to act."""

    slug = "unit-not-suspendable"
    zh, en = "主管部门和信用中心不能被暂停或停用", "Authority and center cannot be suspended or decommissioned"


class UnitNotActive(Forbidden):
    """403: the unit is suspended or decommissioned."""

    slug = "unit-suspended"
    zh, en = "单位已被暂停或停用", "The unit is suspended or decommissioned"
    clause = "5d.3"
