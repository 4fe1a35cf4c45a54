"""Deadlines of requests: one timer cancels every overdue one, because a timer for each costs 4 µs of CPU."""

import asyncio

from common.web.request_state import RequestState

SWEEP_INTERVAL = 0.25
"""Seconds: a request is cancelled at most this much after its deadline."""


class RequestDeadlines:
    """The requests in flight. The timer runs only while there is one."""

    def __init__(self) -> None:
        self._tasks: dict[RequestState, asyncio.Task[object]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, state: RequestState) -> None:
        """Watch the request of the current task."""
        task = asyncio.current_task()
        assert task
        self._tasks[state] = task
        if self._timer is None:
            self._timer = task.get_loop().call_later(SWEEP_INTERVAL, self._sweep)

    def remove(self, state: RequestState) -> bool:
        """Stop watching; return whether the request was cancelled here, and by no other caller of `Task.cancel`."""
        task = self._tasks.pop(state, None)
        if task is not None:
            return False
        task = asyncio.current_task()
        assert task
        return task.uncancel() == 0

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for state in [state for state in self._tasks if state.deadline < now]:
            self._tasks.pop(state).cancel()
        self._timer = loop.call_later(SWEEP_INTERVAL, self._sweep) if self._tasks else None
