"""A kept message with other arguments: shown for editing with its secrets masked, and put together again."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from orakul.errors import NotPossibleError
from orakul.runners.celery import headers as names
from orakul.runners.celery.originals import Original
from orakul.tasks.masking import MASK, Masks, hide_in

__all__ = ["arguments_of", "edited", "shown_for_editing"]

_PARTS = 3  # of a body: arguments, keyword arguments, what is to follow


def arguments_of(original: Original) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
    """Return arguments, keyword arguments and what is to follow; NotPossibleError where they cannot be edited."""
    if original.content_type != "application/json":
        raise NotPossibleError(
            f"its arguments are serialised as {original.content_type or 'something unknown'}: only those in JSON can "
            "be edited. A plain retry sends the original as it is"
        )
    try:
        body = json.loads(original.body)
    except ValueError as error:
        raise NotPossibleError(f"its message cannot be read: {error}") from error
    if not isinstance(body, list) or len(body) != _PARTS or not isinstance(body[1], dict):
        raise NotPossibleError("its message is of Celery's old protocol 1, whose arguments cannot be edited")
    return list(body[0]), body[1], body[2] or {}


def shown_for_editing(original: Original, masks: Masks, known: Any = None) -> dict[str, Any]:
    """Return the arguments in full, secrets masked; `known` are those in the journal, where positions are masked."""
    args, kwargs, _ = arguments_of(original)
    secrets: list[str] = []
    at = known.get("args") if isinstance(known, dict) else None
    masked = {n for n, value in enumerate(at) if value == MASK} if isinstance(at, list) else set()
    for n in masked & set(range(len(args))):
        secrets.extend([args[n]] if isinstance(args[n], str) else [])
    shown = {
        "args": [MASK if n in masked else _masked(value, masks, secrets) for n, value in enumerate(args)],
        "kwargs": _masked(kwargs, masks, secrets),
    }
    return dict(hide_in(shown, [secret for secret in secrets if len(secret) > 4]))  # noqa: PLR2004 (short ones garble)


def edited(
    original: Original, shown: Mapping[str, Any], arguments: Mapping[str, Any], new_id: str, queue: str | None
) -> Original:
    """Return the message of a new task: the original but for its arguments, its id, and its group."""
    args, kwargs, following = arguments_of(original)
    new_args = _restored(arguments["args"], shown["args"], args, "args")
    new_kwargs = _restored(arguments["kwargs"], shown["kwargs"], kwargs, "kwargs")
    # A group or chord counts its own members, of which the new task is none.
    body = json.dumps([new_args, new_kwargs, {**following, "chord": None}]).encode()
    old_id = original.headers.get("id")
    headers = {**original.headers, "id": new_id, "group": None, "group_index": None}
    if headers.get("root_id") in {old_id, None}:
        headers["root_id"] = new_id
    headers["argsrepr"], headers["kwargsrepr"] = repr(tuple(arguments["args"])), repr(arguments["kwargs"])
    changes: dict[str, Any] = {
        "body": body,
        "is_text": False,
        "content_encoding": "utf-8",
        "headers": headers,
        "properties": {**original.properties, "correlation_id": new_id},
    }
    if queue is not None:
        headers[names.QUEUE] = queue
        changes |= {"queue": queue, "exchange": "", "routing_key": queue}
    return msgspec.structs.replace(original, **changes)


def _masked(value: Any, masks: Masks, secrets: list[str]) -> Any:
    if isinstance(value, dict):
        found = {}
        for name, inner in value.items():
            hidden = masks.hides(str(name))
            if hidden and isinstance(inner, str):
                secrets.append(inner)
            found[name] = MASK if hidden else _masked(inner, masks, secrets)
        return found
    return [_masked(inner, masks, secrets) for inner in value] if isinstance(value, list) else value


def _restored(given: Any, shown: Any, original: Any, at: str) -> Any:
    """Return what was given; where it is what was shown, what had been there."""
    if given == shown and type(given) is type(shown):
        return original
    if isinstance(given, dict):
        known = shown if isinstance(shown, dict) and isinstance(original, dict) else {}
        return {
            name: _restored(value, known.get(name), original[name] if name in known else None, f"{at}.{name}")
            for name, value in given.items()
        }
    if isinstance(given, list):
        known_list = shown if isinstance(shown, list) and isinstance(original, list) else []
        return [
            _restored(value, known_list[n], original[n], f"{at}[{n}]")
            if n < len(known_list)
            else _restored(value, None, None, f"{at}[{n}]")
            for n, value in enumerate(given)
        ]
    if isinstance(given, str) and MASK in given:
        raise NotPossibleError(f"{at} is masked, and was moved or changed in part: write its whole value")
    return given
