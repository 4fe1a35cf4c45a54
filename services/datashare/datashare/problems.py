"""Every refusal of datashare, one class each."""

from common.problems import Conflict, Forbidden, Invalid, NotFound, TooManyRequests

__all__ = [
    "AccountSuspended",
    "AgreementMissing",
    "AgreementStep",
    "ApplicationStep",
    "BeyondOpening",
    "CodeTaken",
    "ContainmentHolds",
    "CsvUnreadable",
    "DataRulesMissing",
    "DigestDiffers",
    "FieldOutsideGrant",
    "FilterOnMaskedField",
    "GrantExpired",
    "GrantRevoked",
    "GrantStep",
    "GrantSuspended",
    "NoGrant",
    "OpeningBeyondPolicy",
    "OpeningFieldUnknown",
    "OriginNotRegistered",
    "OriginOutsideSystems",
    "PostMissing",
    "PurposeOutsideGrant",
    "QuotaExhausted",
    "ResourceNotOpen",
    "SameHands",
    "SideMissing",
    "SystemNotUsable",
    "SystemOutsideGrant",
    "SystemSuspended",
    "TermOver",
    "TrainingMissing",
    "UndertakingMissing",
    "UnitSuspended",
]


# The links of the legal chain (design §7), in its order


class ResourceNotOpen(NotFound):
    """404: what the authority has not opened to this kind of unit does not exist for it, not even by name."""

    slug = "resource-not-open"
    zh, en = "未找到该资源", "There is no such resource"
    clause = "10.2"
    recorded = True


class UnitSuspended(Forbidden):
    """403: the unit is not in good standing."""

    slug = "unit-suspended"
    zh, en = "本单位未登记或已被暂停", "The unit is not registered, or suspended"
    clause = "5d.3"


class DataRulesMissing(Forbidden):
    """403: the unit has no current data-security rules on file."""

    slug = "data-rules-missing"
    zh, en = "本单位没有在有效期内的数据安全管理细则", "The unit has no current data-security rules on file"
    clause = "10.1"


class AccountSuspended(Forbidden):
    """403: the account is not active."""

    slug = "account-suspended"
    zh, en = "账号未激活、已暂停或已注销", "The account is not active"
    clause = "6.5"


class SystemSuspended(Forbidden):
    """403: the connected system is not approved, suspended or decommissioned."""

    slug = "system-suspended"
    zh, en = "接入系统未批准、已暂停或已停用", "The connected system is not approved, suspended or decommissioned"
    clause = "5d.3"


class TrainingMissing(Forbidden):
    """403: no current confidentiality training."""

    slug = "training-missing"
    zh, en = "没有在有效期内的保密教育记录", "There is no current confidentiality training"
    clause = "6.1"


class UndertakingMissing(Forbidden):
    """403: the confidentiality undertaking is not signed."""

    slug = "undertaking-missing"
    zh, en = "未签署保密承诺书", "The confidentiality undertaking is not signed"
    clause = "6.1"


class PostMissing(Forbidden):
    """403: no post that includes querying."""

    slug = "post-missing"
    zh, en = "没有包含查询权限的岗位任职", "There is no appointment to a post that may query"
    clause = "6.2"


class AgreementMissing(Forbidden):
    """403: no agreement in force."""

    slug = "agreement-missing"
    zh, en = "没有生效的使用协议", "There is no agreement in force"
    clause = "10.3"


class NoGrant(Forbidden):
    """403: the unit has no such grant."""

    slug = "no-grant"
    zh, en = "没有该资源的授权", "There is no grant of this resource"
    clause = "10.4"


class GrantRevoked(Forbidden):
    """403: the grant was revoked."""

    slug = "grant-revoked"
    zh, en = "授权已被撤销", "The grant was revoked"
    clause = "10.2"


class SystemOutsideGrant(Forbidden):
    """403: the grant is for other systems."""

    slug = "system-outside-grant"
    zh, en = "接入系统不在授权范围内", "The connected system is not in the grant"
    clause = "5d.3"


class GrantSuspended(Forbidden):
    """403: the grant is suspended; `cause` says by what."""

    slug = "grant-suspended"
    zh, en = "授权已被暂停", "The grant is suspended"
    clause = "12.3"


class GrantExpired(Forbidden):
    """403: outside of the grant's term."""

    slug = "grant-expired"
    zh, en = "不在授权期限内", "Outside of the term of the grant"
    clause = "10.4"


class PurposeOutsideGrant(Forbidden):
    """403: the purpose was not granted, or is no longer open."""

    slug = "purpose-outside-grant"
    zh, en = "查询目的不在授权范围内", "The purpose is not in the grant"
    clause = "10.4"


class FieldOutsideGrant(Forbidden):
    """403: a field was not granted, or is no longer open."""

    slug = "field-outside-grant"
    zh, en = "查询字段不在授权范围内", "A field is not in the grant"
    clause = "10.4"


class OriginNotRegistered(Forbidden):
    """403: the request comes from a network that is not registered for the system."""

    slug = "origin-not-registered"
    zh, en = "网络来源未登记", "The network origin is not registered"
    clause = "5d.3"


class QuotaExhausted(TooManyRequests):
    """429: the quota of the city's day is used up; `Retry-After` says when the next day begins."""

    slug = "quota-exhausted"
    zh, en = "当日额度已用完", "The quota of the day is used up"
    clause = "10.4"
    recorded = True


# What else is refused


class FilterOnMaskedField(Invalid):
    """422: to filter by a masked field would show what the mask hides."""

    slug = "filter-on-masked-field"
    zh, en = "不得按脱敏字段筛选", "A masked field cannot be filtered by"
    clause = "10.4"


class CodeTaken(Conflict):
    """409: a resource with this code is registered."""

    slug = "resource-code-taken"
    zh, en = "资源代码已被使用", "The code of the resource is taken"


class CsvUnreadable(Invalid):
    """422: the file as a whole is not what it should be; nothing of it was loaded."""

    slug = "csv-unreadable"
    zh, en = "CSV 文件无法读取", "The CSV file cannot be read"


class OpeningFieldUnknown(Invalid):
    """422: the opening names fields that the resource does not have."""

    slug = "opening-field-unknown"
    zh, en = "资源没有这些字段", "The resource has no such fields"


class OpeningBeyondPolicy(Invalid):
    """422: the longest term is over what the policy `opening-longest-term` allows."""

    slug = "opening-beyond-policy"
    zh, en = "开放期限超过规定上限", "The term is longer than the policy allows"
    clause = "10.2"


class BeyondOpening(Forbidden):
    """403: the application asks for more than is open; `beyond` names what."""

    slug = "beyond-opening"
    zh, en = "申请超出开放范围", "The application asks for more than is open"
    clause = "10.2"


class SystemNotUsable(NotFound):
    """404: no such approved connected system of the own unit."""

    slug = "system-not-usable"
    zh, en = (
        "本单位没有已批准且未暂停的该接入系统",
        "The unit has no such connected system that is approved and not suspended",
    )
    clause = "5d.3"


class OriginOutsideSystems(Invalid):
    """422: an origin lies outside of what is registered for the systems."""

    slug = "origin-outside-systems"
    zh, en = "网络来源超出接入系统登记范围", "An origin lies outside of what is registered for the systems"
    clause = "5d.3"


class SameHands(Forbidden):
    """403: who applied cannot advise or decide, who advised cannot decide (P6)."""

    slug = "same-hands"
    zh, en = "申请、提出意见、审批须由不同人员办理", "Applying, advising and deciding take different people"
    clause = "10.2"


class ApplicationStep(Conflict):
    """409: the application is not where this step begins."""

    slug = "application-step"
    zh, en = "申请当前状态不允许此操作", "The state of the application does not allow this step"


class AgreementStep(Conflict):
    """409: this side has signed, or the agreement is in force."""

    slug = "agreement-step"
    zh, en = "协议当前状态不允许此操作", "The state of the agreement does not allow this step"


class DigestDiffers(Conflict):
    """409: the digest that was quoted is not the agreement's: something else was read than is to be signed."""

    slug = "agreement-digest-differs"
    zh, en = "所引用的协议摘要不一致", "The digest quoted is not that of the agreement"
    clause = "10.3"


class TermOver(Conflict):
    """409: the end that the application names has passed (P7)."""

    slug = "term-over"
    zh, en = "申请的截止时间已过", "The end that the application names has passed"
    clause = "10.3"


class SideMissing(Forbidden):
    """403: the signer belongs to neither side."""

    slug = "no-side-of-agreement"
    zh, en = "签署人不属于协议任何一方", "The signer belongs to neither side of the agreement"
    clause = "10.3"


class GrantStep(Conflict):
    """409: the state of the grant does not allow the step."""

    slug = "grant-step"
    zh, en = "授权当前状态不允许此操作", "The state of the grant does not allow this step"


class ContainmentHolds(Forbidden):
    """403: what a containment order suspended, only its lifting by two people restores (P6)."""

    slug = "containment-holds"
    zh, en = "遏制指令造成的暂停只能经双人批准解除", "A suspension by containment is lifted by two people only"
    clause = "12.3"
