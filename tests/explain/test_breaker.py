from __future__ import annotations

from wbc.explain.breaker import Breaker, BreakerSettings


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def opened(clock: Clock) -> Breaker:
    breaker = Breaker(BreakerSettings(failures=2, cooldown_s=30), clock)
    for _ in range(2):
        assert breaker.acquire()
        breaker.record_failure()
    return breaker


def test_failures_in_a_row_open_the_circuit() -> None:
    assert not opened(Clock()).acquire()


def test_an_answer_between_failures_keeps_it_closed() -> None:
    breaker = Breaker(BreakerSettings(failures=2, cooldown_s=30), Clock())
    for told in (breaker.record_failure, breaker.record_success, breaker.record_failure):
        assert breaker.acquire()
        told()
    assert breaker.ready


def test_after_the_cooldown_one_question_is_let_through() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 29
    assert not breaker.acquire()
    clock.now += 2
    assert breaker.acquire()
    assert not breaker.acquire()
    breaker.record_success()
    assert breaker.acquire()


def test_a_failed_test_opens_the_circuit_again() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 31
    assert breaker.acquire()
    breaker.record_failure()
    assert not breaker.acquire()
    clock.now += 31
    assert breaker.acquire()


def test_a_withdrawn_test_lets_the_next_one_through() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 31
    assert breaker.acquire()
    breaker.release()
    assert breaker.acquire()
