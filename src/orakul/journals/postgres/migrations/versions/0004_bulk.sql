-- Commands to many tasks at once. The filter is frozen, and tasks made after the job are not drawn in.
CREATE TABLE orakul.bulk_jobs (
    job_id text COLLATE "C" PRIMARY KEY,
    author text COLLATE "C" NOT NULL,
    owner text COLLATE "C",  -- only this user's tasks; null for an administrator
    command text NOT NULL CHECK (command IN ('retry', 'cancel')),
    reason text,
    filter json NOT NULL,
    sameness text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    status text NOT NULL DEFAULT 'running' CHECK (status IN ('running', 'completed', 'aborted')),
    gathered boolean NOT NULL DEFAULT false,
    cursor text,
    note text,
    total integer NOT NULL DEFAULT 0,
    done integer NOT NULL DEFAULT 0,
    failed integer NOT NULL DEFAULT 0,
    skipped integer NOT NULL DEFAULT 0
);
-- A second click finds the job that runs.
CREATE UNIQUE INDEX bulk_jobs_same ON orakul.bulk_jobs (sameness) WHERE status = 'running';
CREATE INDEX bulk_jobs_created ON orakul.bulk_jobs (created_at);

-- What each of them drew in, and what came of it. `begun` without a result: a process died over it.
CREATE TABLE orakul.bulk_items (
    job_id text COLLATE "C" NOT NULL REFERENCES orakul.bulk_jobs ON DELETE CASCADE,
    number integer NOT NULL,
    task_id text COLLATE "C" NOT NULL,
    begun boolean NOT NULL DEFAULT false,
    attempt integer,
    result text CHECK (result IN ('done', 'failed', 'skipped')),
    said text,
    PRIMARY KEY (job_id, number),
    UNIQUE (job_id, task_id)
);
CREATE INDEX bulk_items_open ON orakul.bulk_items (job_id, number) WHERE result IS NULL;
