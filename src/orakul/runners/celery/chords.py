"""What becomes of a chord's body where its header fails: Celery writes it into the result store, and tells nobody."""

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["bodies_of"]

_MADE_OF_TASKS = frozenset(("celery.chain", "celery.group", "celery.chord"))


def bodies_of(facts: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield id, name and group of the tasks that will not run as this one, of their chord's header, has failed.

    The chord stands with the task, or with the last of the chain that begins with it. A body that is itself made of
    tasks is left out: which of them would have been first is not known here.
    """
    following = facts.get("chain")
    signatures = [{"options": {"chord": facts.get("chord")}}, *(following if isinstance(following, list) else ())]
    for signature in signatures:
        options = signature.get("options") if isinstance(signature, Mapping) else None
        chord = options.get("chord") if isinstance(options, Mapping) else None
        if not isinstance(chord, Mapping) or chord.get("task") in _MADE_OF_TASKS:
            continue
        own = chord.get("options")
        task_id = own.get("task_id") if isinstance(own, Mapping) else None
        if isinstance(task_id, str) and task_id:
            yield task_id, str(chord.get("task") or ""), own.get("group_id") if isinstance(own, Mapping) else None
