"""The problems that proposals to lift a containment raise."""

from common.problems import Conflict, Forbidden, NotFound


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
