-- Why: an object may change at Stripe without an event that we could have had. A sample of the objects we hold is compared
-- with Stripe's, by one worker at a time for each account, and each object has its turn. See ADR 27.
-- A running older version sees: nothing, the tables are new.

CREATE TABLE object_samples (
    account      text        PRIMARY KEY,           -- connected account; '' is the platform's own
    sampled_at   timestamptz,                       -- when the last sample ended
    compared     bigint      NOT NULL DEFAULT 0,    -- objects compared in it
    last_error   text,                              -- why it ended early
    next_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease        text,
    leased_until timestamptz
);

-- How far each walk over the objects is: in the order of ids, round and round.
CREATE TABLE object_walks (
    account  text        NOT NULL,
    walk     text        NOT NULL,                  -- a word from a closed set
    after_id text        NOT NULL DEFAULT '',
    laps     bigint      NOT NULL DEFAULT 0,        -- how often all were seen
    lap_at   timestamptz,                           -- when that was last so
    PRIMARY KEY (account, walk)
);

-- Objects that were not as Stripe had them, which an event under way may explain. What is explained is forgotten.
CREATE TABLE object_suspects (
    account   text        NOT NULL,
    kind      text        NOT NULL,
    object_id text        NOT NULL,
    event_id  text        NOT NULL,                 -- the snapshot that was held
    as_of     timestamptz NOT NULL,                 -- when Stripe's was so, by Stripe's clock
    is_gone   boolean     NOT NULL,
    members   text[]      NOT NULL,
    PRIMARY KEY (account, kind, object_id)
);

-- Differences that no event explains, for ever. Names of members, and never what they are.
CREATE TABLE object_differences (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account    text        NOT NULL,
    kind       text        NOT NULL,
    object_id  text        NOT NULL,
    is_gone    boolean     NOT NULL,                -- Stripe does not have it any more
    members    text[]      NOT NULL,
    found_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    settled_at timestamptz                          -- since when it is as Stripe has it
);
CREATE UNIQUE INDEX object_differences_open ON object_differences (account, kind, object_id) WHERE settled_at IS NULL;
CREATE INDEX object_differences_found ON object_differences (account, id);

ALTER TABLE object_samples ENABLE ROW LEVEL SECURITY;
CREATE POLICY api ON object_samples FOR SELECT TO tollgate_api USING (actor_role(account) = 'admin');
CREATE POLICY others ON object_samples USING ((SELECT NOT pg_has_role(current_user, 'tollgate_api', 'USAGE')));
GRANT SELECT ON object_samples TO tollgate_api;
ALTER TABLE object_walks ENABLE ROW LEVEL SECURITY;
CREATE POLICY api ON object_walks FOR SELECT TO tollgate_api USING (actor_role(account) = 'admin');
CREATE POLICY others ON object_walks USING ((SELECT NOT pg_has_role(current_user, 'tollgate_api', 'USAGE')));
GRANT SELECT ON object_walks TO tollgate_api;
ALTER TABLE object_suspects ENABLE ROW LEVEL SECURITY;
CREATE POLICY others ON object_suspects USING ((SELECT NOT pg_has_role(current_user, 'tollgate_api', 'USAGE')));
ALTER TABLE object_differences ENABLE ROW LEVEL SECURITY;
CREATE POLICY api ON object_differences FOR SELECT TO tollgate_api USING (actor_role(account) = 'admin');
CREATE POLICY others ON object_differences USING ((SELECT NOT pg_has_role(current_user, 'tollgate_api', 'USAGE')));
GRANT SELECT ON object_differences TO tollgate_api;
