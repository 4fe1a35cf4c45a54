"""The catalogue of policies: everything that the authority can rule, with first value, bounds and legal basis (P9, 15.1)."""

from datetime import UTC, datetime

from common.enforcement.policies import REVOCATION_BOUND, REVOKER_SILENCE, Policy

FIRST_VERSIONS_IN_FORCE_FROM = datetime(2024, 1, 1, tzinfo=UTC)
"""Earlier than any fact that the platform can hold."""


POLICIES: dict[str, Policy] = {
    policy.name: policy
    for policy in (
        Policy(
            "access-token-term", "s", 600, 60, 600, "7.6", "规程第七条", "访问令牌有效期", "term of an access token"
        ),
        Policy("session-term", "s", 43_200, 600, 86_400, "7.6", "规程第七条", "会话最长时间", "longest session"),
        Policy(
            "invitation-term", "s", 86_400, 600, 604_800, "7.6", "规程第七条", "激活码有效期", "term of an invitation"
        ),
        Policy(
            "login-attempts",
            "1",
            5,
            3,
            10,
            "7.6",
            "规程第七条",
            "连续失败锁定次数",
            "failures in a row that lock an account",
        ),
        Policy(
            "login-lock", "s", 900, 60, 86_400, "7.6", "规程第七条", "账号锁定时间", "how long an account stays locked"
        ),
        REVOCATION_BOUND,
        REVOKER_SILENCE,
        Policy(
            "training-term",
            "d",
            365,
            30,
            730,
            "6.1",
            "规程第六条",
            "保密教育有效期",
            "how long a confidentiality training counts",
        ),
        Policy(
            "training-pass",
            "%",
            80,
            60,
            100,
            "6.1",
            "规程第六条",
            "保密教育合格分数线",
            "share of right answers that passes",
        ),
        Policy(
            "departure-report-term",
            "s",
            86_400,
            3_600,
            604_800,
            "6.5",
            "规程第六条",
            "转岗离职报送时限",
            "term for reporting a departure",
        ),
        Policy(
            "handover-term",
            "s",
            604_800,
            86_400,
            2_592_000,
            "6.6",
            "规程第六条",
            "专项交接时限",
            "term for completing a handover",
        ),
        Policy(
            "opening-longest-term",
            "d",
            730,
            1,
            1_825,
            "10.2",
            "规程第十条",
            "开放权限最长期限",
            "longest term that an opening may allow",
        ),
        Policy(
            "query-page", "1", 100, 1, 1_000, "10.4", "规程第十条", "单次查询最多记录数", "most records of one query"
        ),
        Policy(
            "data-rules-term",
            "d",
            365,
            30,
            1_095,
            "10.1",
            "规程第十条",
            "数据安全管理细则有效期",
            "how long filed data-security rules count as current",
        ),
        Policy(
            "breach-report-term",
            "s",
            3_600,
            600,
            86_400,
            "12.5",
            "规程第十二条",
            "安全事件报告时限",
            "term for reporting a breach to the authority",
        ),
        Policy(
            "containment-target",
            "ms",
            1_000,
            100,
            60_000,
            "12.3",
            "规程第十二条",
            "遏制时限",
            "target from report to the last confirmed containment",
        ),
        Policy("probe-term", "s", 60, 10, 300, "12.3", "规程第十二条", "探测凭证有效期", "term of a probe credential"),
    )
}
