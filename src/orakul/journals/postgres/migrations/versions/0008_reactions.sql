-- Reactions: how far the feed was read for them, what is known of rules and their groups, and the deliveries.
CREATE TABLE orakul.reaction_cursor (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    seq bigint,
    epoch bigint NOT NULL DEFAULT 0,  -- whose turn it is: a process that lost its turn stores nothing more
    updated_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO orakul.reaction_cursor DEFAULT VALUES;

-- Rules made on the page; those of the settings are not kept here.
CREATE TABLE orakul.reaction_rules (
    rule_id text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    form json NOT NULL,
    author text,
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- `group` is empty for what is known of the rule itself.
CREATE TABLE orakul.reaction_states (
    rule_id text COLLATE "C" NOT NULL,
    "group" text COLLATE "C" NOT NULL,
    state json NOT NULL,
    PRIMARY KEY (rule_id, "group")
);

CREATE TABLE orakul.reaction_deliveries (
    delivery_id text COLLATE "C" PRIMARY KEY,
    rule_id text COLLATE "C" NOT NULL,
    rule text NOT NULL,
    notifier text COLLATE "C" NOT NULL,
    message json NOT NULL,
    parent text COLLATE "C",
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'done', 'failed', 'cancelled')),
    attempt integer NOT NULL DEFAULT 1,
    tries integer NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT now(),
    said text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX reaction_deliveries_due ON orakul.reaction_deliveries (notifier, due_at) WHERE status = 'pending';
CREATE INDEX reaction_deliveries_made ON orakul.reaction_deliveries (created_at);
