"""What `orakul tail` takes for a change."""

import json

from orakul.cli.tail import Changes


def said(task_id: str, event_type: str, status: str, attempt: int = 1) -> bytes:
    task = {"task_id": task_id, "event_type": event_type, "new_status": status, "attempt": attempt, "run": 0}
    return json.dumps(task).encode()


def test_a_state_is_shown_once_however_many_events_say_it() -> None:
    changes = Changes()
    assert changes.is_new("task", said("a", "task.in_progress", "in_progress"))
    assert changes.is_new("task", said("a", "task.completed", "completed"))
    assert not changes.is_new("task", said("a", "task.pending", "completed")), "a publisher's word that came late"
    assert changes.is_new("task", said("b", "task.completed", "completed"))


def test_a_next_attempt_progress_and_logs_are_shown() -> None:
    changes = Changes()
    assert changes.is_new("task", said("a", "task.failed", "failed"))
    assert changes.is_new("task", said("a", "task.failed", "failed", attempt=2))
    assert changes.is_new("task", said("a", "task.progress", "failed", attempt=2))
    assert changes.is_new("log", b'{"task_id": "a", "message": "x"}')
    assert changes.is_new("log", b'{"task_id": "a", "message": "x"}')


def test_only_so_many_tasks_are_remembered() -> None:
    changes = Changes(remembered=2)
    for task_id in "abc":
        assert changes.is_new("task", said(task_id, "task.completed", "completed"))
    assert changes.is_new("task", said("a", "task.completed", "completed"))
    assert not changes.is_new("task", said("c", "task.completed", "completed"))
