-- What the journal's writers hold while they write: one key, known here only.
CREATE OR REPLACE FUNCTION orakul.lock_key() RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT 7813586411420706156';

-- Stores events (e_…), log lines (l_…) and the drafts folded from the events (t_…, one a task), in one transaction.
-- The lock is a statement of its own, so that the next one's snapshot has seen all that was committed before; then one
-- statement inserts, projects and notifies. `others` are the few of the remaining kinds. Returns the last seq given.
CREATE OR REPLACE FUNCTION orakul.append(
    e_event_id text[], e_timestamp timestamptz[], e_event_type text[], e_task_id text[], e_user_id text[],
    e_user_is_number boolean[], e_trace_id text[], e_source text[], e_data json[], e_extra json[],
    e_era bigint[], e_rank bigint[], e_status text[], e_notice text[],
    l_event_id text[], l_timestamp timestamptz[], l_task_id text[], l_attempt bigint[], l_level text[], l_logger text[],
    l_message text[],
    t_task_id text[], t_created_at timestamptz[], t_started_at timestamptz[], t_finished_at timestamptz[],
    t_updated_at timestamptz[], t_eta timestamptz[], t_era bigint[], t_name_era bigint[], t_queue_era bigint[],
    t_worker_era bigint[], t_progress_era bigint[], t_progress_at timestamptz[], t_priority bigint[], t_rank bigint[],
    t_event_id text[], t_status text[], t_kind text[], t_name text[], t_user_id text[], t_queue text[], t_worker text[],
    t_parent_id text[], t_root_id text[], t_group_id text[], t_trace_id text[], t_outcome text[], t_error_type text[],
    t_error_message text[], t_error_place text[], t_error_traceback text[], t_progress_event text[], t_progress json[],
    t_arguments json[], t_result json[],
    others jsonb
) RETURNS bigint LANGUAGE plpgsql
-- The plan is made once a session and kept: a few rows joined to big tables by their keys, whatever the statistics say,
-- and also where they say that the tables are empty.
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_material = off SET enable_bitmapscan = off SET enable_memoize = off SET jit = off SET search_path = orakul, pg_catalog SET timezone = 'UTC' AS $$
DECLARE
    base bigint;
    last bigint;
    oldest timestamptz;
    newest timestamptz;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE 'the journal is written in READ COMMITTED, so that an append sees the one before it';
    END IF;
    PERFORM pg_advisory_xact_lock(orakul.lock_key());

    -- The numbers of the whole batch are taken at once: nobody else takes any while the lock is held.
    base := nextval('orakul.journal_seq') - 1;
    PERFORM setval('orakul.journal_seq', base + greatest(cardinality(e_event_id) + cardinality(l_event_id), 1));

    WITH incoming AS MATERIALIZED (
        SELECT base + e.number AS seq, e.*
        FROM unnest(e_event_id, e_timestamp, e_event_type, e_task_id, e_user_id, e_user_is_number, e_trace_id, e_source,
                    e_data, e_extra, e_era, e_rank, e_status, e_notice) WITH ORDINALITY
            AS e (event_id, timestamp, event_type, task_id, user_id, user_is_number, trace_id, source,
                  data, extra, era, rank, status, notice, number)
    ), stored AS (
        INSERT INTO orakul.events (seq, timestamp, user_is_number, event_id, event_type, task_id, user_id, trace_id,
                                   source, data, extra)
        SELECT seq, timestamp, user_is_number, event_id, event_type, task_id, user_id, trace_id, source, data, extra
        FROM incoming
        ON CONFLICT DO NOTHING
        RETURNING seq, timestamp
    ), logged AS (
        INSERT INTO orakul.logs (seq, timestamp, attempt, event_id, task_id, level, logger, message)
        SELECT base + cardinality(e_event_id) + l.number, l.timestamp, l.attempt, l.event_id, l.task_id, l.level, l.logger,
               l.message
        FROM unnest(l_event_id, l_timestamp, l_task_id, l_attempt, l_level, l_logger, l_message) WITH ORDINALITY
            AS l (event_id, timestamp, task_id, attempt, level, logger, message, number)
        ON CONFLICT DO NOTHING
        RETURNING seq, timestamp
    ), merged AS MATERIALIZED (
        SELECT
            n.task_id,
            least(n.created_at, t.created_at) AS created_at,
            least(CASE WHEN n.era = top THEN n.started_at END, CASE WHEN t.era = top THEN t.started_at END) AS started_at,
            CASE WHEN wins THEN n.finished_at ELSE t.finished_at END AS finished_at,
            CASE WHEN wins THEN n.updated_at ELSE t.updated_at END AS updated_at,
            greatest(n.eta, t.eta) AS eta,
            top AS era,
            CASE WHEN top >= 0 THEN top
                 ELSE coalesce(CASE WHEN says THEN n.progress_era ELSE t.progress_era END, 1::bigint << 44)
            END AS shown_era,
            greatest(n.name_era, t.name_era) AS name_era,
            greatest(n.queue_era, t.queue_era) AS queue_era,
            greatest(n.worker_era, t.worker_era) AS worker_era,
            CASE WHEN says THEN n.progress_era ELSE t.progress_era END AS progress_era,
            CASE WHEN says THEN n.progress_at ELSE t.progress_at END AS progress_at,
            greatest(n.priority, t.priority) AS priority,
            CASE WHEN wins THEN n.rank ELSE t.rank END AS rank,
            CASE WHEN wins THEN n.event_id ELSE t.event_id END AS event_id,
            CASE WHEN wins THEN n.status ELSE t.status END AS status,
            coalesce(greatest(n.kind, nullif(t.kind, 'task')), 'task') AS kind,
            coalesce(greatest(CASE WHEN n.name_era >= coalesce(t.name_era, -1) THEN n.name END,
                              CASE WHEN t.name_era >= n.name_era THEN t.name END), '') AS name,
            greatest(n.user_id, t.user_id) AS user_id,
            greatest(CASE WHEN n.queue_era >= coalesce(t.queue_era, -1) THEN n.queue END,
                     CASE WHEN t.queue_era >= n.queue_era THEN t.queue END) AS queue,
            greatest(CASE WHEN n.worker_era >= coalesce(t.worker_era, -1) THEN n.worker END,
                     CASE WHEN t.worker_era >= n.worker_era THEN t.worker END) AS worker,
            greatest(n.parent_id, t.parent_id) AS parent_id,
            greatest(n.root_id, t.root_id) AS root_id,
            greatest(n.group_id, t.group_id) AS group_id,
            greatest(n.trace_id, t.trace_id) AS trace_id,
            CASE WHEN wins THEN n.outcome ELSE t.outcome END AS outcome,
            CASE WHEN wins THEN n.error_type ELSE t.error_type END AS error_type,
            CASE WHEN wins THEN n.error_message ELSE t.error_message END AS error_message,
            CASE WHEN wins THEN n.error_place ELSE t.error_place END AS error_place,
            CASE WHEN wins THEN n.error_traceback ELSE t.error_traceback END AS error_traceback,
            CASE WHEN NOT wins THEN t.error_key WHEN n.status = 'failed'
                 THEN orakul.error_key(n.status, n.error_type, n.error_place, coalesce(n.error_message, ''))
            END AS error_key,
            CASE WHEN says THEN n.progress_event ELSE t.progress_event END AS progress_event,
            CASE WHEN says THEN n.progress ELSE t.progress END AS progress,
            CASE WHEN n.arguments IS NULL THEN t.arguments WHEN t.arguments IS NULL THEN n.arguments
                 ELSE greatest(n.arguments::text COLLATE "C", t.arguments::text COLLATE "C")::json END AS arguments,
            CASE WHEN wins THEN n.result ELSE t.result END AS result,
            t.ctid AS place, t.status AS old_status, t.finished_at AS old_finished_at, t.started_at AS old_started_at,
            t.user_id AS old_user_id, t.created_at AS old_created_at, t.eta AS old_eta, t.kind AS old_kind,
            t.name AS old_name, t.queue AS old_queue, t.era = 1::bigint << 44 AS old_first,
            n.arguments IS NOT NULL OR n.error_message IS NOT NULL OR t.error_message IS NOT NULL AS says_more
        FROM unnest(t_task_id, t_created_at, t_started_at, t_finished_at, t_updated_at, t_eta, t_era, t_name_era,
                    t_queue_era, t_worker_era, t_progress_era, t_progress_at, t_priority, t_rank, t_event_id, t_status,
                    t_kind, t_name, t_user_id, t_queue, t_worker, t_parent_id, t_root_id, t_group_id, t_trace_id,
                    t_outcome, t_error_type, t_error_message, t_error_place, t_error_traceback, t_progress_event,
                    t_progress, t_arguments, t_result)
            AS n (task_id, created_at, started_at, finished_at, updated_at, eta, era, name_era,
                  queue_era, worker_era, progress_era, progress_at, priority, rank, event_id, status,
                  kind, name, user_id, queue, worker, parent_id, root_id, group_id, trace_id,
                  outcome, error_type, error_message, error_place, error_traceback, progress_event,
                  progress, arguments, result)
        LEFT JOIN orakul.tasks t ON t.task_id = n.task_id
        CROSS JOIN LATERAL (
            SELECT greatest(n.era, t.era) AS top,
                   coalesce((n.era, n.rank, n.updated_at, n.event_id) > (t.era, t.rank, t.updated_at, t.event_id), true)
                       AS wins,
                   n.progress_era IS NOT NULL AND coalesce((n.progress_era, n.progress_at, n.progress_event)
                       > (t.progress_era, t.progress_at, t.progress_event), true) AS says
        ) AS by_rule
    ), made AS (
        -- New rows and known ones apart, as under the lock nobody makes a row meanwhile: that is cheaper than ON CONFLICT.
        INSERT INTO orakul.tasks (
            task_id, created_at, started_at, finished_at, updated_at, eta, era, run, name_era, queue_era, worker_era,
            progress_era, progress_at, attempt, priority, rank, event_id, status, kind, name, user_id, queue, worker,
            parent_id, root_id, group_id, trace_id, outcome, error_type, error_message, error_place, error_traceback,
            error_key, progress_event, progress, arguments, result)
        SELECT
            task_id, created_at, started_at, finished_at, updated_at, eta, era, shown_era & 17592186044415, name_era,
            queue_era, worker_era, progress_era, progress_at, shown_era >> 44, priority, rank, event_id, status, kind,
            name, user_id, queue, worker, parent_id, root_id, group_id, trace_id, outcome, error_type, error_message,
            error_place, error_traceback, error_key, progress_event, progress, arguments, result
        FROM merged WHERE place IS NULL
    ), changed AS (
        UPDATE orakul.tasks t SET (
            created_at, started_at, finished_at, updated_at, eta, era, run, name_era, queue_era, worker_era,
            progress_era, progress_at, attempt, priority, rank, event_id, status, kind, name, user_id, queue, worker,
            parent_id, root_id, group_id, trace_id, outcome, error_type, error_message, error_place, error_traceback,
            error_key, progress_event, progress, arguments, result
        ) = ROW (
            g.created_at, g.started_at, g.finished_at, g.updated_at, g.eta, g.era, g.shown_era & 17592186044415,
            g.name_era, g.queue_era, g.worker_era, g.progress_era, g.progress_at, g.shown_era >> 44, g.priority,
            g.rank, g.event_id, g.status, g.kind, g.name, g.user_id, g.queue, g.worker, g.parent_id, g.root_id,
            g.group_id, g.trace_id, g.outcome, g.error_type, g.error_message, g.error_place, g.error_traceback,
            g.error_key, g.progress_event, g.progress, g.arguments, g.result)
        FROM merged g WHERE g.place IS NOT NULL AND t.ctid = g.place
    ), done_messages AS (
        DELETE FROM orakul.messages
        WHERE task_id = ANY (ARRAY(SELECT task_id FROM merged WHERE status = 'completed'))
    ), done_cancellations AS (
        DELETE FROM orakul.cancellations c USING merged g
        WHERE c.task_id = g.task_id AND orakul.order_is_done(c.attempt, g.shown_era, g.status, g.rank::smallint,
                                                             g.worker_era)
    ), swings AS (
        SELECT date_trunc('minute', s.finished_at) AS minute, s.user_id,
               sum(sign) FILTER (WHERE s.status = 'completed') AS completed,
               sum(sign) FILTER (WHERE s.status = 'failed') AS failed,
               sum(sign) FILTER (WHERE s.started_at IS NOT NULL) AS timed,
               sum(sign * greatest(extract(epoch FROM s.finished_at - s.started_at) * 1000000, 0)) AS micros
        FROM merged g
        CROSS JOIN LATERAL (VALUES (1, g.status, g.finished_at, g.started_at, g.user_id),
                                   (-1, g.old_status, g.old_finished_at, g.old_started_at, g.old_user_id)
        ) AS s (sign, status, finished_at, started_at, user_id)
        WHERE (g.status, g.finished_at, g.started_at, g.user_id)
              IS DISTINCT FROM (g.old_status, g.old_finished_at, g.old_started_at, g.old_user_id)
          AND s.status IN ('completed', 'failed')
          AND s.finished_at BETWEEN now() - interval '2 days' AND now() + interval '1 day'
        GROUP BY 1, 2
    ), counted AS (
        INSERT INTO orakul.ended_by_minute AS m (owner, minute, completed, failed, timed, micros)
        SELECT o.owner, s.minute, coalesce(sum(s.completed), 0), coalesce(sum(s.failed), 0), coalesce(sum(s.timed), 0),
               coalesce(sum(s.micros), 0)
        FROM swings s CROSS JOIN LATERAL (VALUES (''), (s.user_id)) AS o (owner)
        WHERE o.owner IS NOT NULL
        GROUP BY o.owner, s.minute
        ON CONFLICT (owner, minute) DO UPDATE SET
            completed = m.completed + excluded.completed, failed = m.failed + excluded.failed,
            timed = m.timed + excluded.timed, micros = m.micros + excluded.micros
    ), to_be_counted AS (
        -- What the charts count has changed: noted here as it is and as it was, added up later (see orakul.fold).
        INSERT INTO orakul.rollup_changes (
            created_at, started_at, finished_at, eta, old_created_at, old_started_at, old_finished_at, old_eta,
            first, old_first, says_more, task_id, kind, name, queue, status, old_kind, old_name, old_queue, old_status)
        SELECT created_at, started_at, finished_at, eta, old_created_at, old_started_at, old_finished_at, old_eta,
               era = 1::bigint << 44, old_first, says_more, task_id, kind, name, queue, status, old_kind, old_name,
               old_queue, old_status
        FROM merged
        WHERE (status, finished_at, started_at, created_at, name, queue, kind, eta, era = 1::bigint << 44)
              IS DISTINCT FROM (old_status, old_finished_at, old_started_at, old_created_at, old_name, old_queue,
                                old_kind, old_eta, old_first)
           OR says_more
    ), turns AS (
        -- The events that, one after the other, took a task from one status to another.
        SELECT i.seq, i.notice, i.status, t.status AS old_status,
               lag(i.status) OVER (PARTITION BY i.task_id ORDER BY i.seq) AS prior
        FROM incoming i LEFT JOIN orakul.tasks t ON t.task_id = i.task_id
        WHERE i.notice IS NOT NULL
          AND coalesce((i.era, i.rank, i.timestamp, i.event_id) > (t.era, t.rank, t.updated_at, t.event_id), true)
    ), told AS (
        SELECT count(pg_notify('oracle_channel', '{"seq": ' || seq || notice)) AS times
        FROM turns WHERE status IS DISTINCT FROM coalesce(prior, old_status)
    )
    SELECT max(seq), min(timestamp), max(timestamp) INTO last, oldest, newest
    FROM (SELECT * FROM stored UNION ALL SELECT * FROM logged) AS given, told WHERE told.times >= 0;

    IF others IS NOT NULL THEN
        PERFORM orakul.append_others(others);
    END IF;
    IF last IS NOT NULL THEN
        INSERT INTO orakul.batches (last_seq, stored_at, oldest, newest) VALUES (last, now(), oldest, newest);
        PERFORM pg_notify('oracle_feed', last::text);
    END IF;
    RETURN coalesce(last, 0);
END $$;
