"""Problems of posts and appointments."""

from common.problems import Conflict, Forbidden, Invalid


class AppointmentEnded(Conflict):
    """409: the appointment has ended."""

    slug = "appointment-ended"
    zh, en = "任职已结束", "The appointment has ended"


class AppointmentKnown(Conflict):
    """409: the person holds this post already."""

    slug = "appointment-exists"
    zh, en = "该人员已任此岗位", "The person holds this post already"


class AppointmentTerm(Invalid):
    """422: an appointment ends in the future."""

    slug = "appointment-term"
    zh, en = "任期截止时间须在将来", "The end of an appointment lies in the future"


class PostBeyondKind(Forbidden):
    """403: `permissions` are not for units of this kind."""

    slug = "post-beyond-kind"
    zh, en = "岗位权限超出本类单位范围", "Permissions that units of this kind may not give"
    clause = "6.2"


class PostTaken(Conflict):
    """409: the unit has a post of this name."""

    slug = "post-taken"
    zh, en = "本单位已有同名岗位", "The unit has a post of this name"


class PostUnknown(Invalid):
    """422: the unit has no such post."""

    slug = "post-unknown"
    zh, en = "本单位没有该岗位", "The unit has no such post"


class SelfAppointment(Forbidden):
    """403: a person does not appoint themselves (P6)."""

    slug = "self-appointment"
    zh, en = "不得任命本人", "You cannot appoint yourself"
    clause = "6.2"
