-- The tables of the journal. Texts that are identities or are sorted by have the "C" collation: compared by code point,
-- as the projection's rule does, and found by prefix through plain indexes.

-- One number for events and log lines, given out under the journal's lock, so that its order is the order of commits.
CREATE SEQUENCE orakul.journal_seq AS bigint;

CREATE TABLE orakul.events (
    seq bigint NOT NULL,
    timestamp timestamptz NOT NULL,
    user_is_number boolean NOT NULL DEFAULT false,  -- 5 and "5" are told apart, as they came
    event_id text COLLATE "C" NOT NULL,
    event_type text COLLATE "C" NOT NULL,
    task_id text COLLATE "C",
    user_id text COLLATE "C",
    trace_id text,
    source text,
    data json NOT NULL,  -- json, not jsonb: kept to the letter, and cheaper to store
    extra json,
    UNIQUE (event_id, timestamp)
) PARTITION BY RANGE (timestamp);
CREATE INDEX events_seq ON orakul.events (seq);
CREATE INDEX events_task ON orakul.events (task_id, seq) WHERE task_id IS NOT NULL;
CREATE INDEX events_type ON orakul.events (event_type, seq);
CREATE TABLE orakul.events_rest PARTITION OF orakul.events DEFAULT;

CREATE TABLE orakul.logs (
    seq bigint NOT NULL,
    timestamp timestamptz NOT NULL,
    attempt integer NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    task_id text COLLATE "C" NOT NULL,
    level text NOT NULL,
    logger text NOT NULL,
    message text NOT NULL,
    UNIQUE (event_id, timestamp)
) PARTITION BY RANGE (timestamp);
CREATE INDEX logs_seq ON orakul.logs (seq);
CREATE INDEX logs_task ON orakul.logs (task_id, seq);
CREATE TABLE orakul.logs_rest PARTITION OF orakul.logs DEFAULT;

-- What each append gave out, for a day: up to which seq, and the times of its events. It bounds what a reader of the feed
-- has to look at: a few of the partitions, not all of them.
CREATE TABLE orakul.batches (
    last_seq bigint PRIMARY KEY,
    stored_at timestamptz NOT NULL,
    oldest timestamptz NOT NULL,
    newest timestamptz NOT NULL
);

-- The projection: one row a task, merged by the rule of orakul.tasks.projection. The columns after `created_at` that are
-- not facts of the task (era, rank, event_id, …_era) are what the rule compares.
CREATE TABLE orakul.tasks (
    task_id text COLLATE "C" PRIMARY KEY,
    created_at timestamptz NOT NULL,
    started_at timestamptz,
    finished_at timestamptz,
    updated_at timestamptz NOT NULL,
    eta timestamptz,
    era bigint NOT NULL,
    run bigint NOT NULL,
    name_era bigint NOT NULL,
    queue_era bigint NOT NULL,
    worker_era bigint NOT NULL,
    progress_era bigint,
    progress_at timestamptz,
    attempt integer NOT NULL,
    priority integer,
    rank smallint NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    user_id text COLLATE "C",
    queue text COLLATE "C",
    worker text COLLATE "C",
    parent_id text COLLATE "C",
    root_id text COLLATE "C",
    group_id text COLLATE "C",
    trace_id text COLLATE "C",
    outcome text,
    error_type text COLLATE "C",
    error_message text,
    error_place text,
    error_traceback text,
    progress_event text COLLATE "C",
    progress json,
    arguments json,
    result json
) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
-- One index a sort, each ending in what makes the order total; those of a filter are ordered by creation inside. In them
-- the id has the collation "POSIX", which orders like "C" but is another to the planner: so the primary key is the only
-- index to find a task by its id, also for a plan that was made while the tables were empty, when all cost the same.
CREATE INDEX tasks_created ON orakul.tasks (created_at, task_id COLLATE "POSIX");
CREATE INDEX tasks_started ON orakul.tasks (started_at, task_id COLLATE "POSIX");
CREATE INDEX tasks_finished ON orakul.tasks (finished_at, task_id COLLATE "POSIX");
CREATE INDEX tasks_status ON orakul.tasks (status, created_at, task_id COLLATE "POSIX");
CREATE INDEX tasks_name ON orakul.tasks (name, created_at, task_id COLLATE "POSIX");
CREATE INDEX tasks_user ON orakul.tasks (user_id, created_at, task_id COLLATE "POSIX");
CREATE INDEX tasks_kind ON orakul.tasks (kind, created_at, task_id COLLATE "POSIX");
CREATE INDEX tasks_queue ON orakul.tasks (queue, created_at, task_id COLLATE "POSIX");
CREATE INDEX tasks_parent ON orakul.tasks (parent_id) WHERE parent_id IS NOT NULL;
-- What has not completed is few among many: the header's counts, and "what of this name, queue or user failed, or waits".
CREATE INDEX tasks_rest_name ON orakul.tasks (name, status, created_at, task_id COLLATE "POSIX") WHERE status <> 'completed';
CREATE INDEX tasks_rest_user ON orakul.tasks (user_id, status, created_at, task_id COLLATE "POSIX") WHERE status <> 'completed';
CREATE INDEX tasks_rest_queue ON orakul.tasks (queue, status, created_at, task_id COLLATE "POSIX") WHERE status <> 'completed';
-- The tasks of a worker that fell silent.
CREATE INDEX tasks_running ON orakul.tasks (worker) WHERE status = 'in_progress';

-- How many tasks ended in each minute, for everybody (owner '') and for each owner: the rates of the last day are 1,440
-- small rows and never a scan of the tasks. Kept by the append, by what it changes.
CREATE TABLE orakul.ended_by_minute (
    owner text COLLATE "C" NOT NULL,
    minute timestamptz NOT NULL,
    completed bigint NOT NULL,
    failed bigint NOT NULL,
    timed bigint NOT NULL,
    micros numeric NOT NULL,
    PRIMARY KEY (owner, minute)
) WITH (fillfactor = 50);

-- The sealed original message of a task, until it has completed: what a retry sends again.
CREATE TABLE orakul.messages (
    task_id text COLLATE "C" PRIMARY KEY,
    attempt integer NOT NULL,
    timestamp timestamptz NOT NULL,
    sealed bytea NOT NULL
);
ALTER TABLE orakul.messages ALTER COLUMN sealed SET STORAGE EXTERNAL;  -- encrypted bytes do not compress
CREATE INDEX messages_timestamp ON orakul.messages (timestamp);

-- The last word on each queue, also where it was "resumed", so that an older "paused" that comes late changes nothing.
CREATE TABLE orakul.paused_queues (
    queue text COLLATE "C" PRIMARY KEY,
    paused boolean NOT NULL,
    timestamp timestamptz NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    author text,
    reason text
);

CREATE TABLE orakul.cancellations (
    task_id text COLLATE "C" PRIMARY KEY,
    attempt integer NOT NULL,
    requested_at timestamptz NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    author text,
    grace_seconds double precision NOT NULL
);

CREATE TABLE orakul.workers (
    worker text COLLATE "C" PRIMARY KEY,
    kind text NOT NULL,
    status text NOT NULL,
    started_at timestamptz,
    last_seen timestamptz NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    pool text,
    concurrency integer,
    queues json,
    facts json
);

CREATE TABLE orakul.users (
    user_id text COLLATE "C" PRIMARY KEY,
    username text NOT NULL UNIQUE,
    password_hash text NOT NULL,
    role text NOT NULL CHECK (role IN ('admin', 'viewer', 'user')),
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now()
);

-- Events that could not be stored as they were, with what PostgreSQL said about them: nothing is lost in silence.
CREATE TABLE orakul.rejected_events (
    rejected_at timestamptz NOT NULL DEFAULT now(),
    event_id text NOT NULL,
    stored_reduced boolean NOT NULL,
    error text NOT NULL,
    body bytea NOT NULL
);
