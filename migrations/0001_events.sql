-- Why: the inbox. One row per event for ever; its key is what makes a redelivery change nothing.
-- A running older version sees: nothing, this is the first.

-- The oldest build that may run against this schema, named by its newest migration. A migration that
-- takes something away from older builds raises it; they then refuse to start instead of failing later.
CREATE TABLE schema_compatibility (
    only_row         boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    oldest_migration bigint  NOT NULL
);
INSERT INTO schema_compatibility (oldest_migration) VALUES (1);

CREATE TABLE events (
    account     text        NOT NULL,               -- connected account; '' is the platform's own
    id          text        NOT NULL,               -- evt_...
    type        text        NOT NULL,
    rendering   text        NOT NULL CHECK (rendering IN ('snapshot', 'thin')),
    created     timestamptz NOT NULL,               -- when it happened, by Stripe; whole seconds
    livemode    boolean     NOT NULL,
    api_version text,
    object_type text,
    object_id   text,
    endpoint    text        NOT NULL,               -- the endpoint of ours that received it
    received_at timestamptz NOT NULL,               -- when ingest accepted it
    settled_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    status      text        NOT NULL CHECK (status IN ('applied', 'ignored', 'parked')),
    reason      text,                               -- why ignored or parked
    body        text        NOT NULL,               -- exactly the bytes Stripe sent; JSON, but not ours to reorder
    PRIMARY KEY (account, id),
    CHECK ((status = 'applied') = (reason IS NULL))
);
-- What needs a person is rare and looked for often.
CREATE INDEX events_parked ON events (settled_at) WHERE status = 'parked';

-- Events of one object and one second are compared with each other; support looks for an object's history.
CREATE INDEX events_object ON events (account, object_id, created) WHERE object_id IS NOT NULL;

-- lz4 halves the CPU of storing bodies. A Postgres built without it keeps the default.
DO $$
BEGIN
    ALTER TABLE events ALTER COLUMN body SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported OR invalid_parameter_value THEN
    NULL;
END $$;

-- Why an event was set aside, for the person who decides what becomes of it. An entry that is not an
-- event at all has no row in events; its fields are kept here.
CREATE TABLE parked_events (
    entry_id    text        PRIMARY KEY,            -- id in the Redis stream
    account     text,
    event_id    text,
    event_type  text,
    class       text        NOT NULL CHECK (class IN ('transient', 'permanent', 'bug')),
    reason      text        NOT NULL,               -- a word from a closed set
    fingerprint text        NOT NULL,               -- equal for failures with one cause
    detail      text        NOT NULL,               -- for people; never the body
    deliveries  integer     NOT NULL,               -- how often the entry was given to a worker
    parked_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    entry       bytea                               -- the entry's fields as JSON text, when there is no events row
);
CREATE INDEX parked_events_fingerprint ON parked_events (fingerprint, parked_at);
CREATE INDEX parked_events_event ON parked_events (account, event_id);
