"""Problems of departures."""

from common.problems import Conflict, Forbidden, Invalid


class OwnDeparture(Forbidden):
    """403: a person does not report or cancel their own departure (P6)."""

    slug = "own-departure"
    zh, en = "不得办理本人的离岗", "You cannot handle your own departure"
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
