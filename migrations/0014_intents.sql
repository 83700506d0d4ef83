-- Why: the API starts things at Stripe. What it is about to ask is written down first and sent word for word under a
-- key that follows from the row, so whoever dies in between, the same is asked again and Stripe does it once. See ADR 16.
-- A running older version sees: nothing, the table is new.

CREATE TABLE stripe_intents (
    account     text        NOT NULL,
    id          text        NOT NULL,               -- ours; the idempotency key is made of it
    kind        text        NOT NULL
        CHECK (kind IN ('customer', 'subscribe', 'buy', 'expire', 'payment', 'refund', 'portal')),
    user_id     text        NOT NULL,               -- whom it is for
    purpose     text,                               -- of those of a kind, one at a time has it; NULL when it is over
    wish        jsonb       NOT NULL,               -- what was asked of us
    target      text        NOT NULL,               -- the object that is changed; '' where one is made
    form        text        NOT NULL,               -- what is asked of Stripe, as it is sent
    state       text        NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done', 'refused', 'lost')),
    object_id   text,                               -- Stripe's object, once it is done
    answer      jsonb,                              -- what Stripe said: of the object the members we need, or why not
    attempts    integer     NOT NULL DEFAULT 0,
    leased_until timestamptz,                       -- whoever asks has it to themselves until then
    due_at      timestamptz NOT NULL,               -- when it is taken up, should nobody be at it
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    PRIMARY KEY (account, id),
    CHECK ((state = 'done') = (object_id IS NOT NULL)),
    CHECK ((state = 'open') = (finished_at IS NULL))
);
CREATE UNIQUE INDEX stripe_intents_purpose ON stripe_intents (account, kind, purpose) WHERE purpose IS NOT NULL;
CREATE INDEX stripe_intents_due ON stripe_intents (account, due_at) WHERE state = 'open';
CREATE INDEX stripe_intents_object ON stripe_intents (account, object_id) WHERE object_id IS NOT NULL;
-- Refunds whose money has not shown up in what Stripe told.
CREATE INDEX stripe_intents_refunds ON stripe_intents (account, (wish ->> 'payment')) WHERE kind = 'refund';

ALTER TABLE stripe_intents ENABLE ROW LEVEL SECURITY;
CREATE POLICY api ON stripe_intents TO tollgate_api USING (actor_may_act_for(account, user_id));
CREATE POLICY others ON stripe_intents USING ((SELECT NOT pg_has_role(current_user, 'tollgate_api', 'USAGE')));
-- What was written down to be sent stays as it is.
GRANT SELECT, INSERT ON stripe_intents TO tollgate_api;
GRANT UPDATE (purpose, state, object_id, answer, attempts, leased_until, due_at, finished_at)
    ON stripe_intents TO tollgate_api;
