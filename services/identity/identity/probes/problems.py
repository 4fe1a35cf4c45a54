"""Problems of probes."""

from common.problems import Conflict


class ProbeImpossible(Conflict):
    """409: no credential of this kind can be issued for this order and subject."""

    slug = "probe-impossible"
    zh, en = "无法签发该探测凭证", "No such probe credential can be issued"
    clause = "12.3"
