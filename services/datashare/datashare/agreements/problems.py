"""Problems of agreements."""

from common.problems import Conflict, Forbidden


class AgreementStep(Conflict):
    """409: this side has signed, or the agreement is in force."""

    slug = "agreement-step"
    zh, en = "协议当前状态不允许此操作", "The state of the agreement does not allow this step"


class DigestDiffers(Conflict):
    """409: the quoted digest is not the agreement's: the signer read another text."""

    slug = "agreement-digest-differs"
    zh, en = "所引用的协议摘要不一致", "The digest quoted is not that of the agreement"
    clause = "10.3"


class SideMissing(Forbidden):
    """403: the signer belongs to neither side."""

    slug = "no-side-of-agreement"
    zh, en = "签署人不属于协议任何一方", "The signer belongs to neither side of the agreement"
    clause = "10.3"
