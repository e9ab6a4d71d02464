CREATE TABLE defect (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    title            text        NOT NULL,
    description      text        NOT NULL,
    status           text        NOT NULL,
    priority         text        NOT NULL,
    project_id       bigint      NOT NULL,
    -- As it was when the defect was reported: whoever owns the project sees its defects.
    project_owner_id bigint      NOT NULL,
    reporter_id      bigint      NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX defect_project ON defect (project_id, id);
