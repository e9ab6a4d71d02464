-- The outbox: events published in transactions of the service, until the broker has confirmed them. `seq` is the order
-- in which they are relayed; `part` says which of the sixteen relays of a subject's partition takes them.
-- All of it may be run again, and alone, in the database of a service that has no journal.
CREATE SCHEMA IF NOT EXISTS orakul;

CREATE TABLE IF NOT EXISTS orakul.outbox (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id uuid NOT NULL UNIQUE,
    event_type text NOT NULL,
    ordering_key text NOT NULL,
    part smallint GENERATED ALWAYS AS (abs(hashtextextended(ordering_key, 0) % 16)) STORED,
    envelope json NOT NULL,
    headers json NOT NULL DEFAULT '{}',
    attempts integer NOT NULL DEFAULT 0,
    not_before timestamptz,
    last_error text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX IF NOT EXISTS outbox_part ON orakul.outbox (part, seq);

-- What cannot be relayed, with the reason; it may be put back.
CREATE TABLE IF NOT EXISTS orakul.outbox_dead (
    seq bigint PRIMARY KEY,
    event_id uuid NOT NULL UNIQUE,
    event_type text NOT NULL,
    ordering_key text NOT NULL,
    envelope json NOT NULL,
    headers json NOT NULL DEFAULT '{}',
    attempts integer NOT NULL DEFAULT 0,
    last_error text,
    created_at timestamptz NOT NULL,
    died_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- What a consumer has had an effect of, in the transaction of that effect: who finds the event here drops it.
CREATE TABLE IF NOT EXISTS orakul.inbox (
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (consumer, event_id)
);
CREATE INDEX IF NOT EXISTS inbox_received ON orakul.inbox USING brin (received_at);

-- Rows come and go by thousands a second: dead ones are cleared away early, and without pauses.
ALTER TABLE orakul.outbox SET (
    fillfactor = 80,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_insert_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = 20000,
    autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 20000,
    autovacuum_vacuum_cost_delay = 0
);
CREATE INDEX IF NOT EXISTS outbox_put_off ON orakul.outbox (not_before, ordering_key) WHERE not_before IS NOT NULL;
