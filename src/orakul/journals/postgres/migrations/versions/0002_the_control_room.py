"""What the control room counts and finds by: roll-ups, words, groups of errors, saved views."""

from contextlib import closing
from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"

_SLOTS = 48
_BOUNDS = ", ".join(f"{1.5**power:.3f}" for power in range(_SLOTS - 1))
_COUNTED = ", ".join(f"coalesce(sum(n) FILTER (WHERE slot = {slot}), 0)::integer" for slot in range(_SLOTS))
_ADDED = ", ".join(f"r.histogram[{slot}] + excluded.histogram[{slot}]" for slot in range(1, _SLOTS + 1))

_FOLD = f"""
-- The upper bounds of all slots of a histogram but the last, in milliseconds.
CREATE FUNCTION orakul.durations() RETURNS double precision[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
'SELECT ARRAY[{_BOUNDS}]::double precision[]';

-- Adds up so many of the changes noted by appends and takes the words of what they are about; returns how many there
-- were. One at a time: a second call at once does nothing. Each change takes away what its task counted for before and
-- adds what it counts for now, so repeated, late and reordered events come to what a count of the tasks comes to.
CREATE FUNCTION orakul.fold(most integer) RETURNS integer LANGUAGE plpgsql
SET search_path = orakul, pg_catalog SET timezone = 'UTC' SET jit = off AS $$
DECLARE
    changed integer;
    spoke text[];
BEGIN
    IF NOT pg_try_advisory_xact_lock(7813586411420706158) THEN
        RETURN 0;
    END IF;
    WITH taken AS MATERIALIZED (
        DELETE FROM orakul.rollup_changes
        WHERE ctid = ANY (ARRAY(SELECT ctid FROM orakul.rollup_changes LIMIT most)) RETURNING *
    ), points AS (
        SELECT date_trunc('minute', p.moment) AS minute, p.sign, p.kind, p.name, p.queue, p.status,
               CASE WHEN p.took IS NOT NULL THEN greatest(extract(epoch FROM p.took) * 1000000, 0) END AS micros
        FROM taken c CROSS JOIN LATERAL (VALUES
            (1, kind, name, queue, 'pending', created_at, NULL::interval),
            (1, kind, name, queue, 'in_progress', started_at,
             CASE WHEN first THEN started_at - greatest(created_at, eta) END),
            (1, kind, name, queue, status, finished_at, finished_at - started_at),
            (-1, old_kind, old_name, old_queue, 'pending', old_created_at, NULL),
            (-1, old_kind, old_name, old_queue, 'in_progress', old_started_at,
             CASE WHEN old_first THEN old_started_at - greatest(old_created_at, old_eta) END),
            (-1, old_kind, old_name, old_queue, old_status, old_finished_at, old_finished_at - old_started_at)
        ) AS p (sign, kind, name, queue, status, moment, took)
        WHERE p.moment IS NOT NULL
    ), fine AS MATERIALIZED (
        SELECT minute, kind, name, queue, status, width_bucket((micros / 1000)::double precision, durations()) AS slot,
               sum(sign) AS n, sum(sign * micros) AS micros
        FROM points
        GROUP BY minute, kind, name, queue, status, slot
        HAVING sum(sign) <> 0 OR sum(sign * micros) <> 0
    ), added AS (
        INSERT INTO orakul.rollups AS r (width, bucket, name, kind, queue, status, n, timed, micros, histogram)
        SELECT w.width, date_bin(make_interval(secs => w.width), minute, '2000-01-01'), n.name, kind, queue, status,
               sum(n), coalesce(sum(n) FILTER (WHERE slot IS NOT NULL), 0), coalesce(sum(micros), 0), ARRAY[{_COUNTED}]
        FROM fine f CROSS JOIN (VALUES (60), (600), (3600), (86400)) AS w (width)
        CROSS JOIN LATERAL (VALUES (f.name), (NULL)) AS n (name)
        GROUP BY 1, 2, 3, 4, 5, 6
        ON CONFLICT ON CONSTRAINT rollups_key DO UPDATE SET
            n = r.n + excluded.n, timed = r.timed + excluded.timed, micros = r.micros + excluded.micros,
            histogram = ARRAY[{_ADDED}]
    )
    SELECT count(*), array_agg(DISTINCT task_id) FILTER (WHERE says_more) INTO changed, spoke FROM taken;

    INSERT INTO orakul.task_words AS w (task_id, created_at, words)
    SELECT task_id, created_at, to_tsvector('simple', concat_ws(' ', left(arguments::text, 4000), left(error_type, 200),
                                                                left(error_message, 2000)))
    FROM orakul.tasks WHERE task_id = ANY (spoke)
    FOR KEY SHARE
    ON CONFLICT (task_id) DO UPDATE SET created_at = excluded.created_at, words = excluded.words;
    RETURN changed;
END $$;
"""  # noqa: S608 (put together from the constants above)


def upgrade() -> None:
    """Make the tables, and the door in anew, which notes for them what has changed."""
    with closing(op.get_bind().connection.cursor()) as cursor:
        for part in ("0002_rollups", "0001_append"):
            cursor.execute(Path(__file__).with_name(f"{part}.sql").read_text("utf-8"))
        cursor.execute(_FOLD)


def downgrade() -> None:
    """Refuse: events stored since would be missing from what an older version counts."""
    raise NotImplementedError("the tables of an older version are not made again; restore a backup")
