-- Makes the partitions of yesterday to `ahead` days from now, and gives days that had to go to the default partition (late
-- or early events) one of their own. Holds the journal's lock, as appends must not meet a partition half made.
CREATE FUNCTION orakul.maintain(ahead integer DEFAULT 7) RETURNS integer LANGUAGE plpgsql
SET search_path = orakul, pg_catalog SET timezone = 'UTC' SET lock_timeout = '5s' AS $$
DECLARE
    parent text;
    day date;
    part text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(orakul.lock_key());
    FOREACH parent IN ARRAY ARRAY['events', 'logs'] LOOP
        FOR day IN EXECUTE format(
            'SELECT current_date + d FROM generate_series(-1, %s) d UNION '
            'SELECT DISTINCT (timestamp AT TIME ZONE ''UTC'')::date FROM orakul.%I '
            'WHERE timestamp > now() - interval ''60 days'' AND timestamp < current_date + %s ORDER BY 1',
            ahead, parent || '_rest', ahead
        ) LOOP
            part := parent || to_char(day, '_YYYYMMDD');
            CONTINUE WHEN to_regclass('orakul.' || part) IS NOT NULL;
            EXECUTE format('CREATE TABLE orakul.%I (LIKE orakul.%I INCLUDING ALL)', part, parent);
            EXECUTE format(
                'WITH moved AS (DELETE FROM orakul.%I WHERE timestamp >= %L AND timestamp < %L RETURNING *) '
                'INSERT INTO orakul.%I SELECT * FROM moved',
                parent || '_rest', day::timestamptz, (day + 1)::timestamptz, part);
            EXECUTE format('ALTER TABLE orakul.%I ATTACH PARTITION orakul.%I FOR VALUES FROM (%L) TO (%L)',
                parent, part, day::timestamptz, (day + 1)::timestamptz);
            made := made + 1;
        END LOOP;
    END LOOP;
    DELETE FROM orakul.batches
    WHERE stored_at < now() - interval '1 day' AND last_seq < (SELECT max(last_seq) FROM orakul.batches);
    DELETE FROM orakul.ended_by_minute WHERE minute < now() - interval '2 days';
    DELETE FROM orakul.cancellations WHERE requested_at < now() - interval '30 days';
    DELETE FROM orakul.workers WHERE last_seen < now() - interval '7 days';
    RETURN made;
END $$;
