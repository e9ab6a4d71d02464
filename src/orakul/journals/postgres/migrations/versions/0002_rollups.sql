-- What the control room counts and finds by, beside the tasks themselves.

-- What has changed of what the charts count, as it is and as it was: written by the append, taken and added up by
-- orakul.fold. Adding up is not done in the append, as it would hold the journal's lock the longer.
CREATE TABLE orakul.rollup_changes (
    created_at timestamptz NOT NULL,
    started_at timestamptz,
    finished_at timestamptz,
    eta timestamptz,
    old_created_at timestamptz,
    old_started_at timestamptz,
    old_finished_at timestamptz,
    old_eta timestamptz,
    first boolean NOT NULL,  -- its first delivery: the only one whose waiting is counted
    old_first boolean,
    says_more boolean NOT NULL,  -- its arguments or its error changed
    task_id text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    queue text COLLATE "C",
    status text COLLATE "C" NOT NULL,
    old_kind text COLLATE "C",
    old_name text COLLATE "C",
    old_queue text COLLATE "C",
    old_status text COLLATE "C"
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_insert_threshold = -1,
        autovacuum_vacuum_cost_delay = 0);

-- Tasks by what became of them, in steps of a minute, ten minutes, an hour and a day (`width`, in seconds): how many came
-- (status pending, at their creation), were begun (in_progress, at their start) and ended (at their end). A task stands
-- where it stands now: one that failed, was retried and completed has completed. `histogram` counts durations by the
-- bounds of orakul.durations(): of the ended from start to end, of the begun the waiting until the start. Where `name`
-- is null, all names of the kind and queue together.
CREATE TABLE orakul.rollups (
    width integer NOT NULL,
    bucket timestamptz NOT NULL,
    name text COLLATE "C",
    kind text COLLATE "C" NOT NULL,
    queue text COLLATE "C",
    status text COLLATE "C" NOT NULL,
    n bigint NOT NULL,
    timed bigint NOT NULL,
    micros numeric NOT NULL,
    histogram integer[] NOT NULL,
    CONSTRAINT rollups_key UNIQUE NULLS NOT DISTINCT (width, name, bucket, kind, queue, status)
) WITH (fillfactor = 70);
CREATE INDEX rollups_bucket ON orakul.rollups (width, bucket);

-- The words of a task's arguments and error, for the search in them. Filled by orakul.fold; a table of its own, as the rows
-- of tasks are rewritten with each status and would take their words along each time.
CREATE TABLE orakul.task_words (
    task_id text COLLATE "C" PRIMARY KEY REFERENCES orakul.tasks ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    words tsvector NOT NULL
);
CREATE INDEX task_words_words ON orakul.task_words USING gin (words);
CREATE INDEX task_words_created ON orakul.task_words (created_at, task_id);

-- Which failures are of one group: the same exception at the same place; where neither is known, the same message but for
-- its numbers. Null for what has not failed.
CREATE FUNCTION orakul.error_key(status text, type text, place text, message text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN status = 'failed' THEN ('x' || left(md5(
        CASE WHEN type IS NULL AND place IS NULL THEN regexp_replace(left(message, 200), '[0-9]+', '#', 'g')
             ELSE coalesce(type, '') || E'\n' || coalesce(place, '') END), 16))::bit(64)::bigint END
$$;
ALTER TABLE orakul.tasks ADD COLUMN error_key bigint GENERATED ALWAYS AS
    (orakul.error_key(status, error_type, error_place, coalesce(error_message, ''))) STORED;
CREATE INDEX tasks_error ON orakul.tasks (error_key, created_at, task_id COLLATE "POSIX") WHERE error_key IS NOT NULL;
CREATE INDEX tasks_worker ON orakul.tasks (worker, created_at, task_id COLLATE "POSIX") WHERE worker IS NOT NULL;

-- Questions that people keep: theirs, or for all to see.
CREATE TABLE orakul.saved_views (
    view_id text COLLATE "C" PRIMARY KEY,
    user_id text COLLATE "C" NOT NULL,
    shared boolean NOT NULL,
    name text NOT NULL,
    query text NOT NULL,
    columns json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX saved_views_user ON orakul.saved_views (user_id);
CREATE INDEX saved_views_shared ON orakul.saved_views (name) WHERE shared;

-- What there is already is counted, and its words taken, by the next calls of orakul.fold.
INSERT INTO orakul.rollup_changes (created_at, started_at, finished_at, eta, first, says_more, task_id, kind, name, queue,
                                   status)
SELECT created_at, started_at, finished_at, eta, era = 1::bigint << 44, arguments IS NOT NULL OR error_message IS NOT NULL,
       task_id, kind, name, queue, status
FROM orakul.tasks;
