"""Sign-in is slowed down after failures, for who fails, in bounded memory."""

from orakul.web.throttle import Throttle


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_first_failures_cost_nothing_and_each_later_one_doubles_the_wait() -> None:
    clock = Clock()
    throttle = Throttle(free=3, clock=clock)
    assert [throttle.attempt("ann") for _ in range(3)] == [0, 0, 0]
    waits = []
    for _ in range(5):
        waits.append(throttle.attempt("ann"))
        clock.now += waits[-1]
        assert throttle.attempt("ann") == 0
    assert waits == [1, 2, 4, 8, 16]


def test_a_refused_trial_does_not_make_the_wait_longer() -> None:
    clock = Clock()
    throttle = Throttle(free=1, clock=clock)
    throttle.attempt("ann")
    assert [throttle.attempt("ann") for _ in range(100)] == [1.0] * 100


def test_the_wait_has_an_end() -> None:
    clock = Clock()
    throttle = Throttle(free=1, longest=300, clock=clock)
    for _ in range(60):
        clock.now += throttle.attempt("ann")
    assert throttle.attempt("ann") <= 300


def test_one_is_not_slowed_down_by_what_another_does() -> None:
    throttle = Throttle(free=1)
    throttle.attempt("ann", "10.0.0.1")
    assert throttle.attempt("ann", "10.0.0.1") > 0
    assert throttle.attempt("ann", "10.0.0.2") == 0
    assert throttle.attempt("bob", "10.0.0.1") == 0


def test_a_success_forgets_and_so_does_time() -> None:
    clock = Clock()
    throttle = Throttle(free=1, longest=300, clock=clock)
    throttle.attempt("ann")
    throttle.succeeded("ann")
    assert throttle.attempt("ann") == 0
    clock.now += 302
    assert throttle.attempt("ann") == 0
    assert 0 < throttle.attempt("ann") <= 1


def test_forgiving_takes_one_failure_back_and_not_the_others() -> None:
    throttle = Throttle(free=3)
    for _ in range(2):
        throttle.attempt("10.0.0.1")
    assert throttle.attempt("10.0.0.1") == 0
    throttle.forgive("10.0.0.1")
    assert throttle.attempt("10.0.0.1") == 0
    assert throttle.attempt("10.0.0.1") > 0


def test_memory_is_bounded() -> None:
    throttle = Throttle(room=100)
    for number in range(1000):
        throttle.attempt(str(number))
    assert len(throttle._counts) == 100
