-- Commands are few among many events: an index of them alone is small, and the audit reads nothing else.
CREATE INDEX events_commands ON orakul.events (seq) WHERE event_type IN ('task.retry_requested', 'task.cancel_requested',
    'task.run_requested', 'queue.paused', 'queue.resumed', 'bulk.requested', 'bulk.abort_requested');
CREATE INDEX events_commanders ON orakul.events (user_id, seq) WHERE event_type IN ('task.retry_requested',
    'task.cancel_requested', 'task.run_requested', 'queue.paused', 'queue.resumed', 'bulk.requested',
    'bulk.abort_requested');
