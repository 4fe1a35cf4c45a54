"""Problems of probes."""

from common.problems import Conflict


class ProbeImpossible(Conflict):
    """409: the order gives no credential of this kind for this subject."""

    slug = "probe-impossible"
    zh, en = "无法签发该探测凭证", "No such probe credential can be issued"
    clause = "12.3"
