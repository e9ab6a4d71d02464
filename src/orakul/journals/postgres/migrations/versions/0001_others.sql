-- Whether an order to cancel is done with: the attempt it spoke of has ended. Not by being cancelled before it started (the
-- message still waits at the broker), unless a worker says so, which has met it and thrown it away; and not by being
-- taken for lost (the broker may deliver it again).
CREATE FUNCTION orakul.order_is_done(ordered integer, era bigint, status text, rank smallint, worker_era bigint)
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT status IN ('completed', 'failed', 'cancelled') AND era >> 44 >= ordered
       AND (rank NOT IN (1, 3) OR (rank = 1 AND worker_era = era))
$$;

-- Messages, pauses, cancellations and workers: the part of an append that most batches do not have. Runs inside it.
CREATE FUNCTION orakul.append_others(others jsonb) RETURNS void LANGUAGE plpgsql
SET search_path = orakul, pg_catalog SET timezone = 'UTC' AS $$
DECLARE
    changed integer;
    orders integer := 0;
BEGIN
    INSERT INTO orakul.messages AS m (task_id, attempt, timestamp, sealed)
    SELECT n.task_id, n.attempt, n.timestamp, decode(n.sealed, 'base64')
    FROM jsonb_to_recordset(others -> 'messages') AS n (task_id text, attempt integer, timestamp timestamptz, sealed text)
    WHERE NOT EXISTS (SELECT FROM orakul.tasks t WHERE t.task_id = n.task_id AND t.status = 'completed')
    ON CONFLICT (task_id) DO UPDATE SET attempt = excluded.attempt, timestamp = excluded.timestamp,
                                        sealed = excluded.sealed
    WHERE (m.attempt, m.timestamp) < (excluded.attempt, excluded.timestamp);

    INSERT INTO orakul.workers AS w (worker, kind, status, started_at, last_seen, event_id, pool, concurrency, queues,
                                     facts)
    SELECT n.worker, coalesce(n.kind, 'celery'), n.status, n.started_at, n.last_seen, n.event_id, n.pool, n.concurrency,
           n.queues, n.facts
    FROM jsonb_to_recordset(others -> 'workers') AS n (worker text, kind text, status text, started_at timestamptz,
        last_seen timestamptz, event_id text, pool text, concurrency integer, queues json, facts json)
    ON CONFLICT (worker) DO UPDATE SET
        kind = excluded.kind, status = excluded.status, last_seen = excluded.last_seen, event_id = excluded.event_id,
        started_at = greatest(w.started_at, excluded.started_at), pool = coalesce(excluded.pool, w.pool),
        concurrency = coalesce(excluded.concurrency, w.concurrency), queues = coalesce(excluded.queues, w.queues),
        facts = coalesce(excluded.facts, w.facts)
    WHERE (w.last_seen, w.event_id) < (excluded.last_seen, excluded.event_id);

    INSERT INTO orakul.paused_queues AS q (queue, paused, timestamp, event_id, author, reason)
    SELECT n.queue, n.paused, n.timestamp, n.event_id, n.author, n.reason
    FROM jsonb_to_recordset(others -> 'queues') AS n (queue text, paused boolean, timestamp timestamptz, event_id text,
        author text, reason text)
    ON CONFLICT (queue) DO UPDATE SET paused = excluded.paused, timestamp = excluded.timestamp,
        event_id = excluded.event_id, author = excluded.author, reason = excluded.reason
    WHERE (q.timestamp, q.event_id) < (excluded.timestamp, excluded.event_id);
    GET DIAGNOSTICS orders = ROW_COUNT;

    INSERT INTO orakul.cancellations AS c (task_id, attempt, requested_at, event_id, author, grace_seconds)
    SELECT n.task_id, coalesce(n.attempt, t.attempt, 1), n.requested_at, n.event_id, n.author, n.grace_seconds
    FROM jsonb_to_recordset(others -> 'cancellations') AS n (task_id text, attempt integer, requested_at timestamptz,
        event_id text, author text, grace_seconds double precision)
    LEFT JOIN orakul.tasks t ON t.task_id = n.task_id
    WHERE t.task_id IS NULL
       OR NOT orakul.order_is_done(coalesce(n.attempt, t.attempt), t.era, t.status, t.rank, t.worker_era)
    ON CONFLICT (task_id) DO UPDATE SET attempt = excluded.attempt, requested_at = excluded.requested_at,
        event_id = excluded.event_id, author = excluded.author, grace_seconds = excluded.grace_seconds
    WHERE (c.attempt, c.requested_at, c.event_id) < (excluded.attempt, excluded.requested_at, excluded.event_id);
    GET DIAGNOSTICS changed = ROW_COUNT;

    IF orders + changed > 0 THEN
        PERFORM pg_notify('oracle_orders', '');
    END IF;
END $$;
