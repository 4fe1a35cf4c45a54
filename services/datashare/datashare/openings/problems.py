"""Problems of openings."""

from common.problems import Invalid, NotFound


class ResourceNotOpen(NotFound):
    """404: for units to which it is not opened, a resource does not exist, not even by name."""

    slug = "resource-not-open"
    zh, en = "未找到该资源", "There is no such resource"
    clause = "10.2"
    recorded = True


class OpeningFieldUnknown(Invalid):
    """422: the opening names fields that the resource does not have."""

    slug = "opening-field-unknown"
    zh, en = "资源没有这些字段", "The resource has no such fields"


class OpeningBeyondPolicy(Invalid):
    """422: the longest term is over what the policy `opening-longest-term` allows."""

    slug = "opening-beyond-policy"
    zh, en = "开放期限超过规定上限", "The term is longer than the policy allows"
    clause = "10.2"
