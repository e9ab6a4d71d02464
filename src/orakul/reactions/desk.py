"""Rules as the page handles them: listed with what became of them, made, changed, tried out, and run over yesterday."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec

from orakul.errors import InvalidQueryError, NotPossibleError, OrakulError, SettingsError, TaskNotFoundError
from orakul.reactions.judging import Draft, Judge, RuleState
from orakul.reactions.making import Notifiers
from orakul.reactions.notifier import Receipt
from orakul.reactions.occurrence import Occurrence
from orakul.reactions.rule import Rule, StoredRule, read_rule
from orakul.reactions.sending import attempt
from orakul.reactions.store import ReactionStore
from orakul.reactions.writing import Language, sample_of, write

__all__ = ["NotifierItem", "RuleDesk", "RuleItem", "RuleList", "RulePreview", "RulePreviewItem", "Tried", "TriedItem"]

PREVIEWED = timedelta(days=1)
MOST_PREVIEWED = 20_000
_SHOWN = 200
_STEP = 30.0


class RuleItem(msgspec.Struct, frozen=True, kw_only=True):
    """A rule, where it is from, what is wrong with it, and its deliveries of the last day by status.

    One of `orakul.toml` (`source` is `file`) is changed there.
    """

    rule_id: str
    source: Literal["file", "page"]
    author: str | None
    updated_at: datetime | None
    rule: Rule
    trouble: str | None
    deliveries: Mapping[str, int]


class NotifierItem(msgspec.Struct, frozen=True, kw_only=True):
    """A notifier of the settings; `trouble` is why it cannot be used. Its options are shown nowhere."""

    name: str
    kind: str
    trouble: str | None


class RuleList(msgspec.Struct, frozen=True, kw_only=True):
    """The rules, and the notifiers that they may name."""

    items: list[RuleItem]
    notifiers: list[NotifierItem]
    next: str | None = None


class RulePreviewItem(msgspec.Struct, frozen=True, kw_only=True):
    """A message that would have been."""

    at: datetime
    kind: Literal["alert", "recovered", "over"]
    title: str
    text: str
    severity: str
    count: int
    task_id: str | None


class RulePreview(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule would have told in the last day: `total` messages, the latest 200 of them in `items`.

    `looked` events were looked at; `partial` says that there were more.
    """

    items: list[RulePreviewItem]
    total: int
    looked: int
    partial: bool
    trouble: str | None


class TriedItem(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a sample at one notifier."""

    notifier: str
    delivered: bool
    said: str


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a sample; `trouble` is what is wrong with the templates."""

    items: list[TriedItem]
    trouble: str | None


class RuleDesk:
    """The rules of the settings and those of the page, together."""

    def __init__(
        self,
        store: ReactionStore,
        notifiers: Notifiers,
        own_rules: Sequence[StoredRule],
        past: Callable[[Sequence[str], datetime, int], Sequence[Occurrence]],
        *,
        public_url: str | None = None,
        language: Language = "en",
    ) -> None:
        self._store = store
        self._notifiers = notifiers
        self._own_rules = list(own_rules)
        self._past = past
        self._public_url = public_url
        self._language: Language = language

    def notifier_names(self) -> Sequence[str]:
        """Return the notifiers of the settings."""
        return self._notifiers.names()

    def rules(self) -> RuleList:
        """Return all rules, and the notifiers."""
        states, _ = self._store.states()
        figures = self._store.figures()
        items = [
            self._item(stored, states, figures)
            for stored in sorted([*self._own_rules, *self._store.rules()], key=lambda each: each.rule.name.lower())
        ]
        troubles = self._notifiers.troubles()
        notifiers = [
            NotifierItem(name=name, kind=kind, trouble=troubles.get(name))
            for name, kind in self._notifiers.kinds().items()
        ]
        return RuleList(items=items, notifiers=notifiers)

    def _item(
        self,
        stored: StoredRule,
        states: Mapping[str, RuleState],
        figures: Mapping[str, Mapping[str, int]],
    ) -> RuleItem:
        state = states.get(stored.rule_id)
        missing = [name for name in stored.rule.notify if name not in self._notifiers.names()]
        troubles = [f"there is no notifier {name!r} in the settings" for name in missing]
        if state is not None and state.trouble:
            troubles.append(state.trouble)
        return RuleItem(
            rule_id=stored.rule_id,
            source="file" if stored.source == "file" else "page",
            author=stored.author,
            updated_at=stored.updated_at,
            rule=stored.rule,
            trouble="; ".join(troubles) or None,
            deliveries=figures.get(stored.rule_id, {}),
        )

    def find(self, rule_id: str) -> StoredRule:
        """Return a rule; raise TaskNotFoundError."""
        for stored in [*self._own_rules, *self._store.rules()]:
            if stored.rule_id == rule_id:
                return stored
        raise TaskNotFoundError("There is no rule with this id.")

    def save(self, form: Mapping[str, Any], author: str, rule_id: str | None = None) -> RuleItem:
        """Make or change a rule; raise InvalidQueryError that names what is wrong with it."""
        rule = read_rule(form)
        for name in rule.notify:
            if name not in self._notifiers.names():
                try:
                    self._notifiers.get(name)  # which says what there is
                except SettingsError as error:
                    raise InvalidQueryError(f"notify: {error}") from error
        self._own(rule_id)
        stored = self._store.save_rule(rule_id, rule, author)
        if stored is None:
            raise TaskNotFoundError("There is no rule with this id.")
        return self._item(stored, {}, {})

    def delete(self, rule_id: str) -> None:
        """Delete a rule."""
        self._own(rule_id)
        if not self._store.delete_rule(rule_id):
            raise TaskNotFoundError("There is no rule with this id.")

    def _own(self, rule_id: str | None) -> None:
        if rule_id is not None and any(stored.rule_id == rule_id for stored in self._own_rules):
            raise NotPossibleError("this rule is written in orakul.toml: change it there")

    def try_out(self, rule_id: str) -> Tried:
        """Send a sample to each notifier of a rule, now; say what came of it."""
        rule = self.find(rule_id).rule
        key = str(uuid.uuid4())
        message, trouble = write(
            rule, rule_id, sample_of(rule), key=key, public_url=self._public_url, language=self._language
        )
        message = msgspec.structs.replace(message, title=f"[sample] {message.title}", group=f"sample {rule_id}")

        def one(name: str) -> TriedItem:
            try:
                notifier = self._notifiers.get(name)
            except OrakulError as error:
                return TriedItem(notifier=name, delivered=False, said=str(error))
            outcome = attempt(notifier, [message], 2.0 * notifier.options.timeout_seconds, [])
            if isinstance(outcome, Receipt):
                return TriedItem(notifier=name, delivered=True, said=outcome.said)
            return TriedItem(notifier=name, delivered=False, said=str(outcome))

        with ThreadPoolExecutor(4, "orakul-sample") as pool:
            return Tried(items=list(pool.map(one, rule.notify)), trouble=trouble)

    def preview(self, rule: Rule, rule_id: str = "preview") -> RulePreview:
        """Return what the rule would have told in the last day."""
        now = datetime.now(UTC)
        found = self._past(_types(rule), now - PREVIEWED, MOST_PREVIEWED + 1)
        partial, found = len(found) > MOST_PREVIEWED, found[:MOST_PREVIEWED]
        judge = Judge(StoredRule(rule_id=rule_id, rule=rule))
        drafts: list[tuple[float, Draft]] = []
        ticked = 0.0
        for one in found:
            moment = one.timestamp.timestamp()
            if moment - ticked >= _STEP:
                ticked = moment
                drafts += [(moment, draft) for draft in judge.tick(moment)]
            drafts += [(moment, draft) for draft in judge.take(one, moment)]
        drafts += [(now.timestamp(), draft) for draft in judge.tick(now.timestamp())]
        items, trouble = [], None
        for moment, draft in drafts[-_SHOWN:]:
            message, wrong = write(rule, rule_id, draft, key="", public_url=self._public_url, language=self._language)
            trouble = trouble or wrong
            items.append(
                RulePreviewItem(
                    at=datetime.fromtimestamp(moment, UTC),
                    kind=draft.kind,
                    title=message.title,
                    text=message.text,
                    severity=message.severity,
                    count=draft.count,
                    task_id=draft.sample.get("task_id"),
                )
            )
        return RulePreview(items=items[::-1], total=len(drafts), looked=len(found), partial=partial, trouble=trouble)


def _types(rule: Rule) -> list[str]:
    """Return the patterns of event types that can matter to a rule."""
    found = list(rule.when.event) or [f"task.{status}" for status in rule.when.status] or ["*"]
    return [*found, "task.completed"] if rule.recovered else found
