-- What looking back and retention need.

-- How long a task lived, in classes: a task that lived at a moment was created at most its class's length before it, so
-- that all who lived then are found by one short range of an index a class, however many there are.
CREATE FUNCTION orakul.life(created_at timestamptz, finished_at timestamptz) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT width_bucket(finished_at - created_at, '{00:00:01,00:00:04,00:00:15,00:01:00,00:04:00,00:15:00,01:00:00,
        04:00:00,24:00:00,96:00:00,360:00:00}'::interval[])
$$;
CREATE INDEX tasks_life ON orakul.tasks (orakul.life(created_at, finished_at), created_at) WHERE finished_at IS NOT NULL;

-- Events between two moments: they come in nearly in the order of time, so a summary of each few blocks is enough.
CREATE INDEX events_time ON orakul.events USING brin (timestamp) WITH (pages_per_range = 32, autosummarize = on);

-- How long what is kept, where it was said in the control room: above what the settings say. `kind` is a kind of task;
-- empty: those that have none of their own.
CREATE TABLE orakul.retention (
    what text COLLATE "C" NOT NULL CHECK (what IN ('tasks', 'events', 'logs')),
    kind text COLLATE "C" NOT NULL DEFAULT '',
    days integer NOT NULL CHECK (days BETWEEN 1 AND 3650),
    changed_by text COLLATE "C" NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (what, kind)
);

-- All kinds and queues together, so that a chart of everything reads a row a step and status: kind '' and no queue.
INSERT INTO orakul.rollups (width, bucket, name, kind, queue, status, n, timed, micros, histogram)
SELECT width, bucket, NULL, '', NULL, status, sum(n), sum(timed), sum(micros),
       (SELECT array_agg(added ORDER BY slot) FROM (
            SELECT slot, sum(r.histogram[slot])::integer AS added
            FROM orakul.rollups r CROSS JOIN generate_series(1, 48) AS slot
            WHERE r.width = whole.width AND r.bucket = whole.bucket AND r.status = whole.status AND r.name IS NULL
            GROUP BY slot) AS slots)
FROM orakul.rollups AS whole WHERE name IS NULL GROUP BY width, bucket, status;
