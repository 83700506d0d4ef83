-- Why: how often Stripe delivered an event is a question of support, and of anyone who compares what was posted
-- with what is stored. The inbox keeps the first delivery; this keeps the others, which are few.
-- A running older version sees: a column it does not write, and stays empty for its events.

-- The entry that brought the event. An entry that comes again after a lost acknowledgement is no new delivery.
ALTER TABLE events ADD COLUMN entry_id text;

CREATE TABLE redeliveries (
    account     text        NOT NULL,
    event_id    text        NOT NULL,
    entry_id    text        NOT NULL,               -- id in the Redis stream
    endpoint    text        NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (account, event_id, entry_id)
);
