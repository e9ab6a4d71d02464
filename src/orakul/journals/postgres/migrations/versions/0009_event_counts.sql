-- How domain events fare, by hour, type and consumer, added up from the journal every few seconds; `consumer` is empty
-- for their publishing. Small for good: hours times types times consumers.
CREATE TABLE orakul.event_counts (
    hour timestamptz NOT NULL,
    event_type text COLLATE "C" NOT NULL,
    consumer text COLLATE "C" NOT NULL,
    published bigint NOT NULL DEFAULT 0,
    unheard bigint NOT NULL DEFAULT 0,
    delivered bigint NOT NULL DEFAULT 0,
    failed bigint NOT NULL DEFAULT 0,
    retried bigint NOT NULL DEFAULT 0,
    dead bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (hour, event_type, consumer)
);
-- Up to which seq it is added up; one row.
CREATE TABLE orakul.event_counts_cursor (seq bigint NOT NULL);
INSERT INTO orakul.event_counts_cursor SELECT coalesce(max(seq), 0) FROM orakul.events;

-- Domain events, among the many that tasks tell.
CREATE INDEX events_relayed ON orakul.events (seq) WHERE extra IS NOT NULL;
-- The deliveries of an event; and the dead letters, the latest first.
CREATE INDEX tasks_of_event ON orakul.tasks (group_id) WHERE kind = 'delivery';
CREATE INDEX tasks_dead ON orakul.tasks (finished_at DESC, task_id)
    WHERE kind = 'delivery' AND status = 'failed' AND outcome = 'Dead';
-- Deliveries that wait, for the age of the oldest.
CREATE INDEX tasks_undelivered ON orakul.tasks (name, created_at)
    WHERE kind = 'delivery' AND status IN ('pending', 'in_progress');

-- Add up the next events, at most `most` numbers of the journal; return how many numbers that were, 0 where there are
-- none, or somebody else is at it.
CREATE FUNCTION orakul.count_events(most bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    first bigint;
    last bigint;
BEGIN
    SELECT seq INTO first FROM orakul.event_counts_cursor FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    SELECT max(last_seq) INTO last FROM orakul.batches;
    last := least(coalesce(last, first), first + most);
    IF last <= first THEN
        RETURN 0;
    END IF;
    INSERT INTO orakul.event_counts AS c
        (hour, event_type, consumer, published, unheard, delivered, failed, retried, dead)
    SELECT date_trunc('hour', e.timestamp, 'UTC'),
           CASE WHEN e.source = 'consumer' THEN coalesce(e.data ->> 'type', '') ELSE e.event_type END,
           CASE WHEN e.source = 'consumer' THEN coalesce(e.data ->> 'name', '') ELSE '' END,
           count(*) FILTER (WHERE e.source IS DISTINCT FROM 'consumer'),
           count(*) FILTER (WHERE e.source IS DISTINCT FROM 'consumer' AND e.extra -> 'relayed' ->> 'heard' = 'false'),
           count(*) FILTER (WHERE e.source = 'consumer' AND e.event_type = 'task.completed'
                              AND e.data ->> 'outcome' IS NULL),
           count(*) FILTER (WHERE e.source = 'consumer' AND e.event_type = 'task.failed'),
           count(*) FILTER (WHERE e.source = 'consumer' AND e.data ->> 'retrying' = 'true'),
           count(*) FILTER (WHERE e.source = 'consumer' AND e.data ->> 'outcome' = 'Dead')
    FROM orakul.events e
    WHERE e.seq > first AND e.seq <= last
      AND ((e.source = 'consumer' AND e.event_type IN ('task.completed', 'task.failed'))
           OR (e.extra IS NOT NULL AND e.extra -> 'relayed' IS NOT NULL))
    GROUP BY 1, 2, 3
    ON CONFLICT (hour, event_type, consumer) DO UPDATE SET
        published = c.published + excluded.published, unheard = c.unheard + excluded.unheard,
        delivered = c.delivered + excluded.delivered, failed = c.failed + excluded.failed,
        retried = c.retried + excluded.retried, dead = c.dead + excluded.dead;
    UPDATE orakul.event_counts_cursor SET seq = last;
    RETURN last - first;
END
$$;
