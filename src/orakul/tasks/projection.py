"""The rule that makes a task from its events, in plain Python.

The journal carries the same rule out in SQL, one statement a batch; the tests hold the two together. Every
part of the rule is a maximum or a minimum, so neither order nor repetition of events can change the outcome:

- the *state* is the event with the greatest `(era, rank, timestamp, event_id)`; status, outcome, error, result,
  `updated_at` and, where the status is final, `finished_at` are that event's;
- `started_at` is the earliest `task.in_progress` of the state's era; an era is `(attempt, run)`;
- name, queue and worker are those of the greatest era that says them (within an era the greatest text);
- `progress` is that of the greatest `(era, timestamp, event_id)` that says it;
- what never changes (kind, user, parent, root, group, priority, eta, arguments, trace) is the greatest value said:
  its sources agree;
- `created_at` is the earliest timestamp of all.

Events that report no status (`task.log`, commands) do not touch the row, except `task.progress`.
"""
