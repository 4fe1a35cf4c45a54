"""Everything that incident refuses, and why."""

from common.problems import Conflict, Forbidden, Invalid, NotFound

__all__ = [
    "AuthorityReceivesReports",
    "BreachUnknown",
    "FactImpossible",
    "LiftAlreadyProposed",
    "LiftDecided",
    "LiftNeedsAnotherPerson",
    "LiftUnknown",
    "NotTheProposer",
    "NothingToLift",
    "OrderStepForbidden",
    "PersonNeeded",
    "ScopeUnknown",
]


class BreachUnknown(NotFound):
    """404: no such breach, or another unit's."""

    slug = "breach-not-found"
    zh, en = "未找到该安全事件", "There is no such breach"


class ScopeUnknown(NotFound):
    """404: something of the scope does not exist, is another unit's, or is so new that this service has not heard of it yet.

    `missing` quotes what was asked.
    """

    slug = "breach-scope-not-found"
    zh, en = "事件范围内有未找到的对象", "Something in the scope of the breach was not found"

    def __init__(self, missing: list[str]) -> None:
        super().__init__(
            "如对象刚刚登记，请按 Retry-After 稍后再报，报告内容不变",
            "If it was registered only just now, report the same again after Retry-After",
            headers={"Retry-After": "2"},
            missing=missing,
        )


class PersonNeeded(Forbidden):
    """403: a breach is reported, and reported on, by a person who answers for it."""

    slug = "person-needed"
    zh, en = "须由个人账号报告", "A person has to report this"
    clause = "12.3"


class AuthorityReceivesReports(Forbidden):
    """403: the responsible unit reports to the authority; the authority cannot do it in its place."""

    slug = "authority-receives-reports"
    zh, en = "报告由安全责任单位提交，主管部门为接收方", "The responsible unit reports; the authority receives"
    clause = "12.5"


class FactImpossible(Invalid):
    """422: what is said to have happened lies in the future, or was detected before it occurred."""

    slug = "breach-fact-impossible"
    zh, en = "时间先后不合理", "The times contradict each other"
    clause = "12.3"


class OrderStepForbidden(Conflict):
    """409: the order's state does not allow the step."""

    slug = "containment-step-forbidden"
    zh, en = "遏制指令的当前状态不允许此操作", "The state of the containment order does not allow this"
    clause = "12.3"


class NothingToLift(Conflict):
    """409: every order of the incident is lifted already."""

    slug = "nothing-to-lift"
    zh, en = "没有可解除的遏制指令", "There is no containment to lift"
    clause = "12.3"


class LiftAlreadyProposed(Conflict):
    """409: an open proposal waits for a decision; `proposal` is its id."""

    slug = "lift-already-proposed"
    zh, en = "已有待批准的解除提议", "A proposal to lift is waiting already"
    clause = "12.3"


class LiftUnknown(NotFound):
    """404: no such proposal."""

    slug = "lift-proposal-not-found"
    zh, en = "未找到该解除提议", "There is no such proposal"


class LiftDecided(Conflict):
    """409: the proposal was approved or withdrawn before."""

    slug = "lift-proposal-decided"
    zh, en = "该解除提议已有结论", "The proposal was decided before"
    clause = "12.3"


class LiftNeedsAnotherPerson(Forbidden):
    """403: restoring after containment takes two people (P6)."""

    slug = "lift-needs-another-person"
    zh, en = "提议人不得批准自己的提议", "Who proposed cannot approve"
    clause = "12.3"


class NotTheProposer(Forbidden):
    """403: only the proposer withdraws."""

    slug = "not-the-proposer"
    zh, en = "仅提议人可以撤回", "Only the proposer can withdraw"
    clause = "12.3"
