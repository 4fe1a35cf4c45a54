"""Waits double up to a bound, and start again after a success."""

from common.backoff import Backoff


def test_waits_double_up_to_the_maximum_and_start_again_after_a_reset():
    backoff = Backoff(0.5, 3.0)
    assert [backoff.next_delay() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    backoff.reset()
    assert backoff.next_delay() == 0.5


def test_the_wait_after_any_number_of_failures_is_known_and_bounded():
    assert [Backoff(0.05, 2.0).delay(failures) for failures in (0, 1, 5, 6, 10_000)] == [0.05, 0.1, 1.6, 2.0, 2.0]
