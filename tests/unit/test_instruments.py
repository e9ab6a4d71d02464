"""Instruments count what happens: all of it, once, and no more of them than is bounded."""

import gc
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orakul.instruments import (
    LEFT_OUT,
    OTHER,
    Distribution,
    Snapshot,
    collect,
    counter,
    gauge,
    histogram,
    set_tracer,
    span,
)

_numbers = count(1)


def fresh(suffix: str = "") -> str:
    """Return a name that no other test uses: instruments are the process's."""
    return f"orakul_test_{next(_numbers)}{suffix}"


def told(name: str) -> Snapshot:
    return next(each for each in collect() if each.name == name)


def test_nothing_is_lost_by_eight_threads() -> None:
    name, sizes = fresh("_total"), histogram(fresh("_bytes"), "Sizes.", (1.0, 2.0))
    counted = counter(name, "Counted.", ("who",))

    def work(number: int) -> None:
        for _ in range(5_000):
            counted.add(1, "all")
            counted.add(2, str(number))
            sizes.observe(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told(name).samples == {("all",): 40_000, **{(str(number),): 10_000 for number in range(8)}}
    assert told(sizes.name).samples[()] == Distribution((1.0, 2.0), (10_000, 5_000, 25_000), 5_000.0 * sum(range(8)))


@given(st.lists(st.floats(0, 100)), st.lists(st.sampled_from([0.5, 1.0, 5.0, 50.0]), min_size=1))
def test_every_observation_is_in_one_bucket_and_in_the_sum(values: list[float], buckets: list[float]) -> None:
    sizes = histogram(fresh("_seconds"), "Times.", buckets)
    for value in values:
        sizes.observe(value)
    seen = sizes.snapshot().samples[()]
    assert isinstance(seen, Distribution)
    assert seen.sum == pytest.approx(sum(values))
    assert seen.bounds == tuple(sorted(set(buckets)))
    at_most = [sum(seen.counts[: place + 1]) for place in range(len(seen.bounds))]
    assert at_most == [sum(value <= bound for value in values) for bound in seen.bounds]
    assert sum(seen.counts) == len(values)


@given(st.lists(st.tuples(st.text(), st.text()), max_size=60))
def test_labels_are_bounded_and_the_sum_is_kept(values: list[tuple[str, str]]) -> None:
    counted = counter(fresh("_total"), "Counted.", ("one", "other"), most=3)
    for one, other in values:
        counted.add(1, one, other)
    samples = counted.snapshot().samples
    assert sum(figure for figure in samples.values() if isinstance(figure, int)) == len(values)
    for place in (0, 1):
        assert len({key[place] for key in samples} - {OTHER}) <= 3


def test_an_instrument_is_made_once_by_its_name_and_never_as_something_else() -> None:
    name = fresh("_total")
    assert counter(name, "Counted.", ("a",)) is counter(name, "Again.", ("a",))
    with pytest.raises(ValueError, match="is a counter with the labels"):
        gauge(name, "Read.")
    with pytest.raises(ValueError, match="choose another name"):
        counter(name, "Counted.", ("b",))


def test_the_wrong_number_of_labels_is_told() -> None:
    with pytest.raises(ValueError, match=r"has the labels \('a',\), not 2"):
        counter(fresh("_total"), "Counted.", ("a",)).add(1, "x", "y")


class Part:
    """Something that counts by itself."""

    def __init__(self, figure: float) -> None:
        self.figure = figure

    def one(self) -> float:
        return self.figure

    def by_kind(self) -> Mapping[str, float]:
        return {"big": self.figure, "small": 1}


def test_parts_that_read_into_one_name_are_added_up_and_may_go() -> None:
    name, largest, kinds = fresh(), fresh("_seconds"), fresh("_kinds")
    here, gone = Part(3), Part(4)
    for part in here, gone, here:
        gauge(name, "Read.", part.one)
        gauge(largest, "Oldest.", part.one, merge="max")
        gauge(kinds, "Read.", part.by_kind, ("kind",))
    assert told(name).samples == {(): 7}
    assert told(largest).samples == {(): 4}
    assert told(kinds).samples == {("big",): 7, ("small",): 2}
    del gone, part
    gc.collect()
    assert told(name).samples == {(): 3}


def test_what_a_part_had_counted_stays_when_it_has_gone() -> None:
    name = fresh("_total")
    part = Part(5)
    counted = counter(name, "Counted.", read=part.one)
    counted.add(1)
    assert told(name).samples == {(): 6}
    del part
    gc.collect()
    assert told(name).samples == {(): 6}
    assert told(name).samples == {(): 6}


def test_a_figure_that_cannot_be_read_is_left_out_and_counted() -> None:
    broken, sound, unknown = fresh(), fresh(), fresh()

    def fail() -> float:
        raise RuntimeError("away")

    gauge(broken, "Broken.", fail)
    gauge(sound, "Sound.", lambda: 1)
    gauge(unknown, "Not known.", lambda: None)
    names = [each.name for each in collect()]
    assert broken not in names
    assert told(sound).samples == {(): 1}
    assert told(unknown).samples == {}
    assert LEFT_OUT.snapshot().samples[broken,] >= 1


def test_a_forked_child_begins_at_zero_even_while_others_count() -> None:
    counted, sizes = counter(fresh("_total"), "Counted.", ("a",)), histogram(fresh("_seconds"), "Times.")
    counted.add(7, "x")
    sizes.observe(1)
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with counted._lock:
            held.set()
            done.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    child = os.fork()
    if child == 0:  # the lock is held by a thread that this process lacks
        counted.add(1, "y")
        sizes.observe(2)
        seen = counted.snapshot().samples, sizes.snapshot().samples[()].sum  # type: ignore[union-attr]
        os._exit(0 if seen == ({("y",): 1}, 2) else 1)
    done.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert counted.snapshot().samples == {("x",): 7}


def test_spans_do_nothing_until_a_tracer_is_set() -> None:
    seen: list[tuple[str, Mapping[str, Any]]] = []

    @contextmanager
    def tracer(name: str, attributes: Mapping[str, Any]) -> Iterator[str]:
        seen.append((name, attributes))
        yield "entered"

    with span("before", events=1) as nothing:
        assert nothing is None
    set_tracer(tracer)
    try:
        with span("orakul.test", events=2) as entered:
            assert entered == "entered"
    finally:
        set_tracer(None)
    assert seen == [("orakul.test", {"events": 2})]


def test_times_are_observed_however_a_block_ends() -> None:
    times = histogram(fresh("_seconds"), "Times.", labels=("how",))
    with times.time("well"):
        pass
    with pytest.raises(RuntimeError), times.time("ill"):
        raise RuntimeError
    assert {
        key: sum(each.counts) for key, each in times.snapshot().samples.items() if isinstance(each, Distribution)
    } == {
        ("well",): 1,
        ("ill",): 1,
    }
    assert times.snapshot().unit == "seconds"
