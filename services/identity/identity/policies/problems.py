"""Problems of policies."""

from common.problems import Invalid


class PolicyOutOfBounds(Invalid):
    """422: the value is outside of `least` and `most`."""

    slug = "policy-out-of-bounds"
    zh, en = "规则取值超出允许范围", "The value of the policy is out of bounds"
    clause = "15.1"


class PolicyRetroactive(Invalid):
    """422: a version takes effect in the past, or before the newest version."""

    slug = "policy-retroactive"
    zh, en = "规则不得溯及既往", "A policy holds from now or later"
    clause = "15.1"
