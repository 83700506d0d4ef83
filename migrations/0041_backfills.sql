-- Why: `tollgate backfill` goes through Stripe's lists for hours. Where it is, is kept here, so that it goes on there after it
-- was interrupted. One at a time for each account. See ADR 27.
-- A running older version sees: nothing, the tables are new.

CREATE TABLE backfills (
    account     text        PRIMARY KEY,            -- connected account; '' is the platform's own
    asked       text        NOT NULL,               -- the options, as they were given: the same ones go on
    since       timestamptz,                        -- objects made then or later; NULL: all
    until       timestamptz NOT NULL,               -- objects made then or before
    made_by     text        NOT NULL,
    began_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz
);

CREATE TABLE backfill_lists (
    account     text        NOT NULL,
    kind        text        NOT NULL,
    after_id    text,                               -- the last object of the last page
    shown       bigint      NOT NULL DEFAULT 0,
    added       bigint      NOT NULL DEFAULT 0,     -- of these, those that were not held
    changed     bigint      NOT NULL DEFAULT 0,     -- of these, those that were held otherwise
    unreadable  bigint      NOT NULL DEFAULT 0,     -- of these, those left out because they cannot be read
    finished_at timestamptz,
    PRIMARY KEY (account, kind)
);

ALTER TABLE backfills ENABLE ROW LEVEL SECURITY;
CREATE POLICY others ON backfills USING ((SELECT NOT pg_has_role(current_user, 'tollgate_api', 'USAGE')));
ALTER TABLE backfill_lists ENABLE ROW LEVEL SECURITY;
CREATE POLICY others ON backfill_lists USING ((SELECT NOT pg_has_role(current_user, 'tollgate_api', 'USAGE')));
