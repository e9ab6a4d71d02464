"""Showing what users pass: always JSON, always bounded, and nothing named like a secret."""

import dataclasses
import json
import re
import time
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orakul.tasks.masking import MASK, Limits, Masks, clean_text, hide_in

MASKS = Masks(["password", "api_key", "apikey", "token", "secret", "credit_card"])


class Colour(Enum):
    RED = "red"


@dataclasses.dataclass
class Order:
    number: int
    api_key: str


class Reply(msgspec.Struct):
    text: str
    token: str


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no")

    __str__ = __repr__


class Point(NamedTuple):
    x: int
    y: int


@pytest.mark.parametrize(
    ("name", "hidden"),
    [
        ("password", True),
        ("PASSWORD", True),
        ("user_password", True),
        ("userPassword", True),
        ("X-Api-Key", True),
        ("apiKey", True),
        ("APIKEY", True),
        ("tokens", True),
        ("creditCardNumber", True),
        ("secretary", False),
        ("passwordless", False),
        ("tokenizer", False),
        ("", False),
        ("имя", False),
    ],
)
def test_names_are_matched_on_word_borders(name: str, *, hidden: bool) -> None:
    """A secret name counts in any case and spelling, as a word of its own, not as a part of another."""
    assert MASKS.hides(name) is hidden


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (Decimal("1.10"), "1.10"),
        (datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01T00:00:00+00:00"),
        (date(2026, 1, 1), "2026-01-01"),
        (timedelta(seconds=1), "0:00:01"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (b"text", "text"),
        (b"\xff\x00", "0xff00"),
        ("a\0b", "a␀b"),
        ("\ud800", "?"),
        (2**53, str(2**53)),
        (Colour.RED, "red"),
        (Path("/tmp/x"), "/tmp/x"),  # noqa: S108 (a value, no file)
        ({1}, [1]),
        (Point(1, 2), {"x": 1, "y": 2}),
        (Order(1, "abcdefgh"), {"number": 1, "api_key": MASK}),
        (Reply("hi", "abcdefgh"), {"text": "hi", "token": MASK}),
        ({1: {"password": "x"}}, {"1": {"password": MASK}}),
        ({"password": None}, {"password": None}),
        (ValueError("no"), {"type": "ValueError", "args": ["no"]}),
        (Hostile(), "<test_masking.Hostile>"),
        (Order, "<test_masking.Order>"),
    ],
)
def test_each_kind_of_value_has_its_form(value: Any, shown: Any) -> None:
    """What JSON has not is shown as text; no `repr` of a user's class is called."""
    assert MASKS.show(value) == shown


def test_cycles_depth_and_size_are_bounded_and_said() -> None:
    """What is left out is said where it was."""
    cycle: list[Any] = []
    cycle.append(cycle)
    assert MASKS.show(cycle) == ["… [contains itself]"]
    deep: Any = "end"
    for _ in range(10_000):
        deep = [deep]
    assert "too deep" in json.dumps(MASKS.show(deep), ensure_ascii=False)
    assert MASKS.show(list(range(1000)))[-1] == "… [900 more items]"
    assert MASKS.show({str(n): n for n in range(1000)})["…"] == "[900 more keys]"
    assert MASKS.show("x" * 5000).endswith("… [1,000 more characters]")


def test_showing_is_quick_however_large_the_value() -> None:
    """Fifty megabytes of text, a list of a million lists: milliseconds."""
    began = time.perf_counter()
    MASKS.show("x" * 50_000_000)
    MASKS.show([[1] * 1000] * 1_000_000)
    MASKS.show(dict.fromkeys(range(10_000), "y" * 10_000))
    MASKS.show(b"\xff" * 50_000_000)
    MASKS.show(10**100_000)
    assert time.perf_counter() - began < 2


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.datetimes() | st.decimals(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner, inner),
)


@given(ANYTHING)
def test_anything_becomes_json_of_bounded_size(value: Any) -> None:
    """The outcome encodes as UTF-8 JSON without NUL, and stays small."""
    text = msgspec.json.encode(MASKS.show(value, Limits(characters=1000)))
    assert not re.search(rb"(?<!\\)(?:\\\\)*\\u0000", text)  # the escape itself, not the text of one
    assert len(text) < 100_000


def test_positional_secrets_are_masked_and_remembered() -> None:
    """Arguments at masked positions are hidden, and their values are found again in free text."""
    secrets: list[str] = []
    shown = MASKS.show_arguments(("anna", "hunter2'x"), {"token": "tok-123", "n": 1}, frozenset([1]), secrets)
    assert shown == {"args": ["anna", MASK], "kwargs": {"token": MASK, "n": 1}}
    assert hide_in("no hunter2'x here, nor tok-123", secrets) == f"no {MASK} here, nor {MASK}"
    assert hide_in({"a": ["tok-123"]}, secrets) == {"a": [MASK]}
    assert "hunter2" not in hide_in(repr(["hunter2'x"]), secrets)


@given(st.text())
def test_clean_text_is_storable(text: str) -> None:
    """No NUL, no lone surrogate is left."""
    cleaned = clean_text(text)
    assert "\0" not in cleaned
    cleaned.encode()
