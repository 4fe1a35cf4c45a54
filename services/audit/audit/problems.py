"""Everything that audit refuses, and why."""

from common.problems import Invalid, NotFound, Unavailable

__all__ = [
    "EvidenceEmpty",
    "EvidenceTooLarge",
    "EvidenceUnsettled",
    "LogBroken",
    "LogNotOpen",
    "RecordUnknown",
    "SizeUnknown",
    "TileUnknown",
]


class LogBroken(Unavailable):
    """503: what is stored is not what was signed; nothing is appended or proved until somebody has looked. Clause 12.4."""

    slug = "log-broken"
    zh, en = "审计日志完整性校验未通过", "The audit log is not what was signed"
    clause = "12.4"


class LogNotOpen(Unavailable):
    """503: the log could not be checked yet."""

    slug = "log-not-open"
    zh, en = "审计日志尚未就绪", "The audit log is not open yet"


class RecordUnknown(NotFound):
    """404: the log has no such index."""

    slug = "record-not-found"
    zh, en = "日志中没有该记录", "The log has no such record"


class TileUnknown(NotFound):
    """404: not the path of a tile, or beyond the log's size."""

    slug = "tile-not-found"
    zh, en = "日志中没有该切片", "The log has no such tile"


class SizeUnknown(Invalid):
    """422: the tree never had that size, or the sizes are in the wrong order; `size` is the newest."""

    slug = "log-size-invalid"
    zh, en = "日志大小无效", "The log has no such size"


class EvidenceTooLarge(Invalid):
    """422: the scope holds more than one package may; `records` and `bytes` say how much, `most_…` how much it may be."""

    slug = "evidence-too-large"
    zh, en = "证据范围过大", "The scope is too large for one package"
    clause = "12.4"


class EvidenceUnsettled(Unavailable):
    """503: records of the scope are still on their way; `missing` has the producers and the numbers around each run.

    They come, or are recorded as a gap once the patience with them ends (setting `gap_patience`, 30 s).
    """

    slug = "evidence-unsettled"
    zh, en = "范围内尚有事件在途", "Events of the scope are still on their way"
    clause = "12.4"


class EvidenceEmpty(Invalid):
    """422: no record is in the scope."""

    slug = "evidence-empty"
    zh, en = "证据范围内没有记录", "No record is in the scope"
    clause = "12.4"
