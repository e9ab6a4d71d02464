-- The short way in, for a batch whose tasks are all new, as a storm's are: nothing is to be merged, so the rows are copied
-- straight into their tables between these two calls, in one transaction. See orakul.append for the general way.

-- Takes the journal's lock and so many numbers; returns the one before the first. Null, and no number is taken, where
-- anything is known of one of the tasks. The lock is a statement of its own, so that the next sees all before it.
CREATE FUNCTION orakul.begin_fresh(ids text[], numbers bigint) RETURNS bigint LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_material = off SET enable_bitmapscan = off SET enable_memoize = off SET jit = off
SET search_path = orakul, pg_catalog AS $$
DECLARE
    base bigint;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE 'the journal is written in READ COMMITTED, so that an append sees the one before it';
    END IF;
    PERFORM pg_advisory_xact_lock(orakul.lock_key());
    IF EXISTS (SELECT FROM unnest(ids) AS n (task_id) JOIN orakul.tasks t ON t.task_id = n.task_id)
       OR EXISTS (SELECT FROM unnest(ids) AS n (task_id) JOIN orakul.messages m ON m.task_id = n.task_id)
       OR EXISTS (SELECT FROM unnest(ids) AS n (task_id) JOIN orakul.cancellations c ON c.task_id = n.task_id) THEN
        RETURN NULL;
    END IF;
    base := nextval('orakul.journal_seq') - 1;
    PERFORM setval('orakul.journal_seq', base + numbers);
    RETURN base;
END $$;

-- What follows the copied rows, as orakul.append does it: counts by minute, the few others, notifications (`notices`, each
-- with the place of its event in the batch), the batch itself.
CREATE FUNCTION orakul.end_fresh(
    base bigint, numbers bigint, oldest timestamptz, newest timestamptz, places bigint[], notices text[],
    owners text[], minutes timestamptz[], completed bigint[], failed bigint[], timed bigint[], micros bigint[],
    others jsonb
) RETURNS bigint LANGUAGE plpgsql SET search_path = orakul, pg_catalog SET timezone = 'UTC' AS $$
BEGIN
    INSERT INTO orakul.ended_by_minute AS m (owner, minute, completed, failed, timed, micros)
    SELECT * FROM unnest(owners, minutes, completed, failed, timed, micros) AS s (owner, minute, completed, failed, timed, micros)
    WHERE s.minute BETWEEN now() - interval '2 days' AND now() + interval '1 day'
    ON CONFLICT (owner, minute) DO UPDATE SET
        completed = m.completed + excluded.completed, failed = m.failed + excluded.failed,
        timed = m.timed + excluded.timed, micros = m.micros + excluded.micros;
    IF others IS NOT NULL THEN
        PERFORM orakul.append_others(others);
    END IF;
    PERFORM count(pg_notify('oracle_channel', '{"seq": ' || base + place || notice))
    FROM unnest(places, notices) AS t (place, notice);
    INSERT INTO orakul.batches (last_seq, stored_at, oldest, newest) VALUES (base + numbers, now(), oldest, newest);
    PERFORM pg_notify('oracle_feed', (base + numbers)::text);
    RETURN base + numbers;
END $$;
