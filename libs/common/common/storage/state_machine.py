"""State machines of rows: a transition table beside the enum, and the one method that changes a state."""

from collections.abc import Mapping
from typing import Any, ClassVar

from common.problems import Problem


class StateMachine:
    """Mixin of a model with a column `state`.

    `TRANSITIONS` maps each state to the states that may follow; `STEP_PROBLEM` is raised for any other step, with the
    members `state` and `wanted`.
    """

    TRANSITIONS: ClassVar[Mapping[Any, frozenset[Any]]]
    STEP_PROBLEM: ClassVar[type[Problem]]
    state: Any

    def can_move_to(self, state: Any) -> bool:
        """Whether the table allows the step."""
        return state in self.TRANSITIONS[self.state]

    def move_to(self, state: Any) -> None:
        """Take a step. Raises `STEP_PROBLEM`."""
        if not self.can_move_to(state):
            raise self.STEP_PROBLEM(state=str(self.state), wanted=str(state))
        self.state = state
