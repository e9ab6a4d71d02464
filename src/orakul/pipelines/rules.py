"""Data quality: rules with a name and a threshold, for all pipelines or for those that a pattern names.

| kind | is broken where | threshold |
| --- | --- | --- |
| `rows_lost` | more rows than this were loaded and not exported (or came out beyond what went in) | rows; 0 |
| `share_lost` | more than this share of the rows loaded was not exported | 0–1; 0.01 |
| `fewer_rows` | fewer rows were loaded than this share of the usual (the median of the last runs) | 0–1; 0.5 |
| `late` | no run came for this many times the usual distance of runs | times; 2 |

A pattern is that of file names (`erp_*`), of the pipeline or of the result. Where two rules of a kind fit, the later
one holds, so a general rule can be followed by exceptions. Without rules of your own, `rows_lost` holds for all.
"""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any, Literal

import msgspec

from orakul.errors import SettingsError
from orakul.pipelines.message import PipelineRun
from orakul.pipelines.rhythm import History, Usual
from orakul.settings import place_of

__all__ = ["DEFAULT", "HISTORICAL", "Broken", "Rule", "RuleKind", "broken_by", "late", "read_rules", "rules_for"]

RuleKind = Literal["rows_lost", "share_lost", "fewer_rows", "late"]
_THRESHOLDS: dict[str, float] = {"rows_lost": 0.0, "share_lost": 0.01, "fewer_rows": 0.5, "late": 2.0}
_KEYS = ("name", "kind", "threshold", "pipeline", "enabled")


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule."""

    kind: RuleKind
    name: str
    threshold: float
    pipeline: str = "*"
    enabled: bool = True

    def fits(self, run: PipelineRun) -> bool:
        """Say whether the rule is about this pipeline."""
        return fnmatchcase(run.pipeline_name, self.pipeline) or fnmatchcase(run.result_name, self.pipeline)


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that was broken: by what value, and what is usual where it is about that; in a sentence: `sentence_of`."""

    rule: str
    kind: RuleKind
    threshold: float
    value: float
    usual: float | None = None


HISTORICAL = frozenset(("fewer_rows", "late"))
"""The kinds that judge a run by those before it."""
DEFAULT = (Rule(kind="rows_lost", name="rows lost", threshold=0.0),)


def read_rules(tables: Sequence[Mapping[str, Any]]) -> tuple[Rule, ...]:
    """Return the rules of `[[pipelines.rules]]`; SettingsError names what is wrong and the nearest right word."""
    return tuple(_read(number, table) for number, table in enumerate(tables, 1)) or DEFAULT


def _read(number: int, table: Mapping[str, Any]) -> Rule:
    where = f"{place_of('pipelines.rules', number)}pipelines.rules, rule {number}"
    for key in table:
        if key not in _KEYS:
            raise SettingsError(f"{where}: there is no key {key!r}{_nearest(key, _KEYS)}")
    kind = table.get("kind")
    if kind not in _THRESHOLDS:
        given = "no kind is said" if kind is None else f"there is no kind {kind!r}"
        raise SettingsError(f"{where}: {given}{_nearest(str(kind), tuple(_THRESHOLDS))}")
    whole = {"name": str(kind).replace("_", " "), "threshold": _THRESHOLDS[kind], **table}
    try:
        rule = msgspec.convert(whole, Rule)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{where}: {error}") from error
    if rule.threshold < 0:
        raise SettingsError(f"{where}: the threshold is {rule.threshold:g}, and must not be negative")
    return rule


def _nearest(word: str, known: tuple[str, ...]) -> str:
    near = get_close_matches(word, known, 1)
    return f"; did you mean {near[0]!r}?" if near else f"; there are: {', '.join(known)}"


def rules_for(run: PipelineRun, rules: Sequence[Rule]) -> list[Rule]:
    """Return the rules that hold for this pipeline: of each kind the latest that fits, unless it is switched off."""
    latest = {rule.kind: rule for rule in rules if rule.pipeline == "*" or rule.fits(run)}
    return [rule for rule in latest.values() if rule.enabled]


def broken_by(run: PipelineRun, rules: Sequence[Rule], history: History) -> list[Broken]:
    """Return which of the rules that hold for it the run breaks, in the light of the runs before it."""
    if not run.ended or run.verdict == "failed":
        return []
    return [broken for rule in rules if (broken := _broken(rule, run, history)) is not None]


def _broken(rule: Rule, run: PipelineRun, history: History) -> Broken | None:
    lost, loaded = run.lost, run.rows_loaded
    if rule.kind == "rows_lost" and lost is not None and abs(lost) > rule.threshold:
        return _told(rule, lost)
    if rule.kind == "share_lost" and lost is not None and loaded and lost / loaded > rule.threshold:
        return _told(rule, lost / loaded)
    usual = history.usual().rows if rule.kind == "fewer_rows" and loaded is not None else None
    if usual and loaded is not None and loaded < usual * rule.threshold:
        return _told(rule, loaded, usual)
    return None


def late(rules: Sequence[Rule], usual: Usual, silent_seconds: float) -> Broken | None:
    """Return which of the rules that hold for a pipeline is broken by so long a silence."""
    for rule in rules:
        if rule.kind == "late" and usual.seconds and silent_seconds > usual.seconds * rule.threshold:
            return _told(rule, silent_seconds, usual.seconds)
    return None


def _told(rule: Rule, value: float, usual: float | None = None) -> Broken:
    return Broken(rule=rule.name, kind=rule.kind, threshold=rule.threshold, value=value, usual=usual)
