"""Laws of the spool's files: whatever state a dead process left them in, what was taken arrives, and nothing blocks."""

import os
import tempfile
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orakul.events import Event
from orakul.tasks.spool import Inbox, SpoolWriter, measure, try_lock


def line_of(n: int) -> bytes:
    return msgspec.json.encode(Event(event_type="task.pending", data={"n": n})) + b"\n"


def drain(inbox: Inbox) -> list[int]:
    numbers = []
    while (batch := inbox.batch()) is not None:
        numbers += [event.data["n"] for event in batch.events]
        inbox.landed(batch)
    inbox.sweep()
    return numbers


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def write(folder: Path, name: str, text: bytes) -> None:
    (folder / f"{name}.jsonl").write_bytes(text)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


damage = st.one_of(
    st.binary(max_size=200).map(lambda text: text.replace(b"\n", b" ")),
    st.just(b"\0" * 4096),
    st.just(b'{"event_type":'),
    st.just(b'{"event_type": 5}'),
    st.just(b"[" * 2000),
    st.just(b'"just text"'),
    st.just(b""),
)
piece = st.one_of(st.integers(0, 10**6), damage)


@settings(max_examples=150, deadline=None)
@given(contents=st.lists(st.lists(piece, max_size=30), min_size=1, max_size=5), size=st.integers(1, 7))
def test_every_whole_line_arrives_once_whatever_is_between(contents: list[list[int | bytes]], size: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, pieces in enumerate(contents):
            write(folder, f"{number:03}", b"".join(line_of(p) if isinstance(p, int) else p + b"\n" for p in pieces))
        inbox = Inbox(folder, batch_events=size)
        expected = [p for pieces in contents for p in pieces if isinstance(p, int)]
        assert Counter(drain(inbox)) == Counter(expected)
        assert names(folder) <= {"quarantine.jsonl"}, "all files are dead and shipped, so they are gone"
        inbox.close()


@settings(max_examples=100, deadline=None)
@given(count=st.integers(1, 8), cut=st.integers(0, 3000))
def test_torn_end_of_a_dead_process_costs_no_more_than_the_torn_line(count: int, cut: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = [line_of(n) for n in range(count)]
        text = b"".join(lines)[:cut]
        write(folder, "dead", text)
        inbox = Inbox(folder)
        whole = text.count(b"\n")
        unbroken = bool(text) and not text.endswith(b"\n") and text.rsplit(b"\n", 1)[-1] + b"\n" in lines
        assert drain(inbox) == list(range(whole + unbroken))
        assert names(folder) == set(), "nothing is quarantined: what was torn was never taken"
        inbox.close()


@settings(max_examples=100, deadline=None)
@given(count=st.integers(1, 40), size=st.integers(1, 10), batches=st.integers(0, 10), noted=st.integers(0, 10))
def test_shipper_that_dies_repeats_at_most_what_it_had_not_noted(
    count: int, size: int, batches: int, noted: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, "one", b"".join(line_of(n) for n in range(count)))
        first = Inbox(folder, batch_events=size)
        seen: list[int] = []
        for number in range(batches):
            batch = first.batch()
            if batch is None:
                break
            seen += [event.data["n"] for event in batch.events]
            if number >= noted:
                break  # killed after the journal took it, before it was noted
            first.landed(batch)
        first.close()
        second = Inbox(folder, batch_events=size)
        seen += drain(second)
        second.close()
        assert set(seen) == set(range(count))
        assert len(seen) <= count + size


@settings(max_examples=60, deadline=None)
@given(mark=st.binary(max_size=30))
def test_damaged_mark_repeats_rather_than_loses(mark: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, "one", b"".join(line_of(n) for n in range(5)))
        readable = mark.strip().isdigit()
        (folder / "one.shipped").write_bytes(mark)
        inbox = Inbox(folder)
        got = drain(inbox)
        inbox.close()
        assert readable or got == list(range(5))


def test_living_writer_keeps_its_file_and_a_half_written_line_is_waited_for(folder: Path) -> None:
    writer = SpoolWriter(folder, segment_bytes=1000)
    writer.open()
    os.write(writer.descriptor, line_of(1) + line_of(2)[:10])
    inbox = Inbox(folder)
    assert drain(inbox) == [1]
    os.write(writer.descriptor, line_of(2)[10:])
    assert drain(inbox) == [2]
    assert writer.paths[0].exists()
    writer.close()
    assert drain(inbox) == []
    assert names(folder) == set()
    inbox.close()


def test_line_after_a_torn_one_without_a_break_is_saved(folder: Path) -> None:
    write(folder, "one", line_of(1) + line_of(2)[:25] + line_of(3) + line_of(4))
    inbox = Inbox(folder)
    assert drain(inbox) == [1, 3, 4]
    assert inbox.quarantined == 1
    inbox.close()


def test_long_line_is_read_whole(folder: Path) -> None:
    event = Event(event_type="t", data={"n": 1, "text": "x" * (5 << 20)})
    write(folder, "one", msgspec.json.encode(event) + b"\n" + line_of(2))
    inbox = Inbox(folder)
    assert drain(inbox) == [1, 2]
    inbox.close()


def test_no_file_keeps_the_others_waiting(folder: Path) -> None:
    for number in range(3):
        write(folder, f"{number}", b"".join(line_of(number * 1000 + n) for n in range(100)))
    inbox = Inbox(folder, batch_events=10)
    first = []
    for _ in range(3):
        batch = inbox.batch()
        assert batch is not None
        inbox.landed(batch)
        first += [event.data["n"] // 1000 for event in batch.events]
    assert set(first) == {0, 1, 2}
    inbox.close()


def test_measure_counts_what_waits(folder: Path) -> None:
    assert measure(folder).events == 0
    write(folder, "one", b"".join(line_of(n) for n in range(50)))
    backlog = measure(folder)
    assert backlog.events == 50
    assert backlog.oldest_seconds is not None
    assert 0 <= backlog.oldest_seconds < 60
    inbox = Inbox(folder, batch_events=20)
    batch = inbox.batch()
    assert batch is not None
    inbox.landed(batch)
    inbox.close()
    assert measure(folder).events == 30


def test_lock_is_held_by_one(folder: Path) -> None:
    held = try_lock(folder / "shipper.lock")
    assert held is not None
    assert try_lock(folder / "shipper.lock") is None
    os.close(held)
    again = try_lock(folder / "shipper.lock")
    assert again is not None
    os.close(again)


def test_orphaned_mark_is_removed(folder: Path) -> None:
    (folder / "gone.shipped").write_text("5")
    inbox = Inbox(folder)
    assert inbox.batch() is None
    assert names(folder) == set()
    inbox.close()
