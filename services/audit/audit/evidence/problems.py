"""The problems that evidence exports raise."""

from common.problems import Invalid, Unavailable


class EvidenceTooLarge(Invalid):
    """422: the scope holds more than one package may; `records` and `bytes` are its size, `most_…` the limits."""

    slug = "evidence-too-large"
    zh, en = "证据范围过大", "The scope is too large for one package"
    clause = "12.4"


class EvidenceUnsettled(Unavailable):
    """503: records of the scope are still in transit; `missing` has the producers and the numbers around each run.

    They arrive, or are recorded as a gap after `gap_patience` (a setting, 30 s).
    """

    slug = "evidence-unsettled"
    zh, en = "范围内尚有事件在途", "Events of the scope are still on their way"
    clause = "12.4"


class EvidenceEmpty(Invalid):
    """422: no record is in the scope."""

    slug = "evidence-empty"
    zh, en = "证据范围内没有记录", "No record is in the scope"
    clause = "12.4"
