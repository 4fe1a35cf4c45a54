"""Problems of queries and checks: the links of the legal chain, and invalid filters."""

from common.problems import Forbidden, Invalid, TooManyRequests


class UnitSuspended(Forbidden):
    """403: the unit is not in good standing."""

    slug = "unit-suspended"
    zh, en = "本单位未登记或已被暂停", "The unit is not registered, or suspended"
    clause = "5d.3"


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
    """403: the grant is suspended; `cause` names the suspension."""

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
    """429: the quota of the city's day is used up; `Retry-After` gives the seconds to the next day."""

    slug = "quota-exhausted"
    zh, en = "当日额度已用完", "The quota of the day is used up"
    clause = "10.4"
    recorded = True


class FilterOnMaskedField(Invalid):
    """422: a filter on a masked field would reveal the masked value."""

    slug = "filter-on-masked-field"
    zh, en = "不得按脱敏字段筛选", "A masked field cannot be filtered by"
    clause = "10.4"
