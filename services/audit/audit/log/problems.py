"""The problems that the log raises."""

from common.problems import Invalid, NotFound, Unavailable


class LogBroken(Unavailable):
    """503: the stored log differs from the signed one; it appends and proves nothing until a restart finds it intact."""

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
