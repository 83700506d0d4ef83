-- Why: what events alone cannot tell (a thin event's object, a tie, a parent that never came) is asked of Stripe,
-- outside any transaction and under the fleet's budget. One row per object: many reasons make one request.
-- A running older version sees: nothing, the table is new.

CREATE TABLE refetches (
    account         text        NOT NULL,
    kind            text        NOT NULL,
    object_id       text        NOT NULL,           -- of an invoice_payment also pi_...: those of that payment
    livemode        boolean     NOT NULL,
    reason          text        NOT NULL,           -- a word from a closed set
    requests        bigint      NOT NULL DEFAULT 1, -- grows while one is under way: that one does not count
    attempts        integer     NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL,           -- 'infinity' while no worker has an API key
    requested_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_error      text,
    given_up_at     timestamptz,                    -- set when trying again is pointless; a person has to look
    PRIMARY KEY (account, kind, object_id)
);
CREATE INDEX refetches_due ON refetches (next_attempt_at) WHERE given_up_at IS NULL;

-- An answer of Stripe's API takes part like an event that happened when the answer was certainly true.
ALTER TABLE events DROP CONSTRAINT events_rendering_check;
ALTER TABLE events ADD CONSTRAINT events_rendering_check
    CHECK (rendering IN ('snapshot', 'thin', 'fetched')) NOT VALID;
