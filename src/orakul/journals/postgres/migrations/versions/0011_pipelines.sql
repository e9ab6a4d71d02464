-- The result that a pipeline's run is about, from what it was called with.
CREATE FUNCTION orakul.result_name(arguments json) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT arguments -> 'kwargs' ->> 'result_name' COLLATE "C"
$$;
-- Of the runs of pipelines alone: what other tasks cost does not change.
CREATE INDEX tasks_pipeline ON orakul.tasks (orakul.result_name(arguments) COLLATE "C", created_at)
    WHERE kind = 'pipeline';
