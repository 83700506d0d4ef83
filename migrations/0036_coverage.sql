-- Why: whether every event of Stripe's is here can only be known by comparing with Stripe's own list. How far that was
-- done, and what was missing, is kept here: by one worker at a time, for each account. See ADR 22.
-- A running older version sees: nothing, the tables are new.

CREATE TABLE coverage (
    account        text        PRIMARY KEY,         -- connected account; '' is the platform's own
    began_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Whose key it was the first time. Another's events are never filled in.
    stripe_account text,
    livemode       boolean,
    looked_until   timestamptz,                     -- up to here everything is settled, or a hole
    covered_until  timestamptz,                     -- up to here everything is settled
    -- Why events arrive or do not, and what is remembered for that.
    verdict        text,                            -- a word from a closed set
    verdict_since  timestamptz,
    endpoint_state text        CHECK (endpoint_state IN ('enabled', 'disabled', 'absent')),
    deaf_until     timestamptz NOT NULL DEFAULT 'epoch',
    silent_since   timestamptz,
    silent_until   timestamptz,
    silent_pending boolean     NOT NULL DEFAULT false,
    -- The last round.
    round_at       timestamptz,                     -- when it ended well
    listed         bigint      NOT NULL DEFAULT 0,
    queued         bigint      NOT NULL DEFAULT 0,
    parked         bigint      NOT NULL DEFAULT 0,
    missing        bigint      NOT NULL DEFAULT 0,
    last_error     text,                            -- why the last one did not end well
    next_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease          text,
    leased_until   timestamptz,
    CHECK ((silent_since IS NULL) = (silent_until IS NULL))
);

-- Every event that Stripe had and we had not, for ever: who wants to know what was lost, when, and since when it is here.
CREATE TABLE coverage_holes (
    account    text        NOT NULL,
    event_id   text        NOT NULL,
    type       text        NOT NULL,
    created    timestamptz NOT NULL,                -- when it happened, by Stripe
    found_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    tries      integer     NOT NULL DEFAULT 0,      -- how often it was put into the queue
    tried_at   timestamptz,
    last_error text,
    filled_at  timestamptz,                         -- since when it is in the inbox
    gone_at    timestamptz,                         -- when Stripe did not have it any more
    PRIMARY KEY (account, event_id)
);
CREATE INDEX coverage_holes_open ON coverage_holes (account, created) WHERE filled_at IS NULL AND gone_at IS NULL;
CREATE INDEX coverage_holes_found ON coverage_holes (account, found_at, event_id);

ALTER TABLE coverage ENABLE ROW LEVEL SECURITY;
CREATE POLICY api ON coverage FOR SELECT TO tollgate_api USING (actor_role(account) = 'admin');
CREATE POLICY others ON coverage USING ((SELECT NOT pg_has_role(current_user, 'tollgate_api', 'USAGE')));
GRANT SELECT ON coverage TO tollgate_api;
ALTER TABLE coverage_holes ENABLE ROW LEVEL SECURITY;
CREATE POLICY api ON coverage_holes FOR SELECT TO tollgate_api USING (actor_role(account) = 'admin');
CREATE POLICY others ON coverage_holes USING ((SELECT NOT pg_has_role(current_user, 'tollgate_api', 'USAGE')));
GRANT SELECT ON coverage_holes TO tollgate_api;
