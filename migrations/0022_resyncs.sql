-- Why: events get lost for good when an endpoint was off for days; staff want one customer as Stripe has them. What is
-- wanted is written down here, a worker makes questions of it (see 0009), and each question is a step to be followed.
-- A running older version sees: nothing, the tables are new. A worker of it leaves them waiting.

CREATE TABLE resyncs (
    account     text        NOT NULL,
    id          text        NOT NULL,               -- rsy_...
    key         text        NOT NULL,               -- the request's, so that the same request begins one
    customer_id text        NOT NULL,
    reason      text        NOT NULL CHECK (reason <> ''),
    made_by     text        NOT NULL,
    made_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    planned_at  timestamptz,                        -- when a worker made questions of it
    PRIMARY KEY (account, id),
    UNIQUE (account, key)
);
CREATE INDEX resyncs_new ON resyncs (made_at) WHERE planned_at IS NULL;

-- One for each question; answers raise more of them.
CREATE TABLE resync_steps (
    account    text        NOT NULL,
    resync_id  text        NOT NULL,
    kind       text        NOT NULL,
    object_id  text        NOT NULL,                -- as in refetches; `customer/cus_1`: all of that customer's
    state      text        NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'done', 'given_up')),
    objects    bigint      NOT NULL DEFAULT 0,      -- how many Stripe showed
    changed    bigint      NOT NULL DEFAULT 0,      -- how many of them were not as we had them
    error      text,
    settled_at timestamptz,
    PRIMARY KEY (account, resync_id, kind, object_id)
);
CREATE INDEX resync_steps_waiting ON resync_steps (account, kind, object_id) WHERE state = 'waiting';

ALTER TABLE resyncs ENABLE ROW LEVEL SECURITY;
CREATE POLICY api ON resyncs FOR SELECT TO tollgate_api USING (actor_role(account) = 'admin');
CREATE POLICY api_begins ON resyncs FOR INSERT TO tollgate_api WITH CHECK (actor_role(account) = 'admin');
CREATE POLICY others ON resyncs USING ((SELECT NOT pg_has_role(current_user, 'tollgate_api', 'USAGE')));
GRANT SELECT, INSERT ON resyncs TO tollgate_api;
ALTER TABLE resync_steps ENABLE ROW LEVEL SECURITY;
CREATE POLICY api ON resync_steps TO tollgate_api USING (actor_role(account) = 'admin');
CREATE POLICY others ON resync_steps USING ((SELECT NOT pg_has_role(current_user, 'tollgate_api', 'USAGE')));
GRANT SELECT ON resync_steps TO tollgate_api;
