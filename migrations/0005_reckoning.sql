-- Why: effects (whose a subscription is and what it allows, credits, notices) follow from several objects joined,
-- whose events come in any order and in any worker. A transaction that changes an object marks it; a reckoner
-- takes marks, reads what is committed under the locks of these tables, and writes what follows. See ADR 8.
-- A running older version sees: tables it does not write. Objects it changes are not marked, so reckon everything
-- once (`tollgate reckon --all`) after the last old worker is gone.

-- Objects whose effects have to be reckoned. Marks are not merged here: an insert must never wait.
CREATE TABLE marks (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account   text        NOT NULL,
    kind      text        NOT NULL,
    object_id text        NOT NULL,
    marked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    trouble   text                                  -- why it cannot be reckoned: for a person, and nobody's retry
)
-- A queue: all its rows die young.
WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000);

-- Whose a customer is.
CREATE TABLE customer_users (
    account     text NOT NULL,
    customer_id text NOT NULL,
    user_id     text,
    team_id     text,
    PRIMARY KEY (account, customer_id)
)
WITH (fillfactor = 80);
CREATE INDEX customer_users_user ON customer_users (account, user_id) WHERE user_id IS NOT NULL;

-- What a subscription means to us.
CREATE TABLE subscription_states (
    account         text        NOT NULL,
    subscription_id text        NOT NULL,
    user_id         text,
    team_id         text,
    state           text        NOT NULL,
    entitled        boolean     NOT NULL,
    status          text,                           -- Stripe's, the last one we know the meaning of
    ended_at        timestamptz,
    expired_at      timestamptz,                    -- set by the clock, never by an event
    changed_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (account, subscription_id)
)
WITH (fillfactor = 80);
CREATE INDEX subscription_states_user ON subscription_states (account, user_id) WHERE user_id IS NOT NULL;
-- What the sweeper looks for.
CREATE INDEX subscription_states_canceled ON subscription_states (ended_at)
    WHERE state = 'canceled' AND expired_at IS NULL;

-- The people behind customers: best of all their subscriptions.
CREATE TABLE users (
    account    text        NOT NULL,
    id         text        NOT NULL,
    email      text,
    state      text        NOT NULL DEFAULT 'no_subscription',
    entitled   boolean     NOT NULL DEFAULT false,
    changes    bigint      NOT NULL DEFAULT 0,      -- how often state or entitlement have changed
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (account, id)
)
WITH (fillfactor = 80);

-- Everything that was paid and may grant credits: invoices, checkout sessions, payment intents. What it came to,
-- and what keeps it from coming to more.
CREATE TABLE money_sources (
    account        text        NOT NULL,
    kind           text        NOT NULL CHECK (kind IN ('invoice', 'checkout.session', 'payment_intent')),
    id             text        NOT NULL,
    owner_kind     text,
    owner_id       text,
    amount_paid    bigint      NOT NULL DEFAULT 0,  -- minor units
    granted        bigint      NOT NULL DEFAULT 0,  -- credits
    refunded       bigint      NOT NULL DEFAULT 0,  -- credits taken back for refunds
    disputed       bigint      NOT NULL DEFAULT 0,  -- credits taken back or held for disputes
    problem        text,                            -- a word from a closed set
    problem_detail text,
    changed_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (account, kind, id)
)
WITH (fillfactor = 80);
CREATE INDEX money_sources_problem ON money_sources (problem, problem_detail) WHERE problem IS NOT NULL;

-- From a payment to what it paid, in the shapes that name it.
CREATE INDEX invoices_payment_intent ON invoices (account, payment_intent_id) WHERE payment_intent_id IS NOT NULL;
CREATE INDEX invoices_charge ON invoices (account, charge_id) WHERE charge_id IS NOT NULL;
CREATE INDEX invoice_payments_charge ON invoice_payments (account, charge_id) WHERE charge_id IS NOT NULL;
CREATE INDEX charges_invoice ON charges (account, invoice_id) WHERE invoice_id IS NOT NULL;
CREATE INDEX payment_intents_invoice ON payment_intents (account, invoice_id) WHERE invoice_id IS NOT NULL;
CREATE INDEX disputes_payment_intent ON disputes (account, payment_intent_id) WHERE payment_intent_id IS NOT NULL;
