-- Why: projections, one table per kind of Stripe object, each row the newest snapshot known. Read by shape,
-- so rows from different API versions look alike. No foreign keys between them: Stripe delivers parts in any
-- order, and a refund may be here before its charge.
-- event_id and event_created name the event whose snapshot the row holds.
-- A running older version sees: nothing, the tables are new.

-- Customers.
CREATE TABLE customers (
    account       text NOT NULL,
    id            text NOT NULL,
    livemode      boolean NOT NULL,
    created       timestamptz,
    email         text,
    name          text,
    user_id       text,
    currency      text,
    balance       bigint,
    delinquent    boolean,
    deleted       boolean NOT NULL,
    metadata      jsonb NOT NULL,
    event_id      text NOT NULL,
    event_created timestamptz NOT NULL,
    PRIMARY KEY (account, id)
)
WITH (fillfactor = 80);
CREATE INDEX customers_user ON customers (account, user_id) WHERE user_id IS NOT NULL;
CREATE INDEX customers_email ON customers (account, email) WHERE email IS NOT NULL;

-- Subscriptions. Periods are the whole subscription's, in either API shape.
CREATE TABLE subscriptions (
    account              text NOT NULL,
    id                   text NOT NULL,
    livemode             boolean NOT NULL,
    created              timestamptz,
    customer_id          text,
    user_id              text,
    status               text,
    currency             text,
    collection_method    text,
    current_period_start timestamptz,
    current_period_end   timestamptz,
    cancel_at_period_end boolean NOT NULL,
    cancel_at            timestamptz,
    canceled_at          timestamptz,
    ended_at             timestamptz,
    cancellation_reason  text,
    trial_start          timestamptz,
    trial_end            timestamptz,
    start_date           timestamptz,
    latest_invoice_id    text,
    items_complete       boolean NOT NULL,
    metadata             jsonb NOT NULL,
    event_id             text NOT NULL,
    event_created        timestamptz NOT NULL,
    PRIMARY KEY (account, id)
)
WITH (fillfactor = 80);
CREATE INDEX subscriptions_customer ON subscriptions (account, customer_id) WHERE customer_id IS NOT NULL;

-- Invoices. Amounts in minor units.
CREATE TABLE invoices (
    account              text NOT NULL,
    id                   text NOT NULL,
    livemode             boolean NOT NULL,
    created              timestamptz,
    customer_id          text,
    subscription_id      text,
    user_id              text,
    status               text,
    billing_reason       text,
    number               text,
    currency             text,
    subtotal             bigint,
    total                bigint,
    amount_due           bigint,
    amount_paid          bigint,
    amount_remaining     bigint,
    attempt_count        bigint,
    next_payment_attempt timestamptz,
    payment_intent_id    text,
    charge_id            text,
    hosted_invoice_url   text,
    period_start         timestamptz,
    period_end           timestamptz,
    due_date             timestamptz,
    lines_complete       boolean NOT NULL,
    deleted              boolean NOT NULL, -- a draft can be
    metadata             jsonb NOT NULL,
    event_id             text NOT NULL,
    event_created        timestamptz NOT NULL,
    PRIMARY KEY (account, id)
)
WITH (fillfactor = 80);
CREATE INDEX invoices_customer ON invoices (account, customer_id) WHERE customer_id IS NOT NULL;
CREATE INDEX invoices_subscription ON invoices (account, subscription_id) WHERE subscription_id IS NOT NULL;

-- Payments, through all their attempts. Amounts in minor units.
CREATE TABLE payment_intents (
    account             text NOT NULL,
    id                  text NOT NULL,
    livemode            boolean NOT NULL,
    created             timestamptz,
    customer_id         text,
    invoice_id          text,
    status              text,
    currency            text,
    amount              bigint,
    amount_received     bigint,
    latest_charge_id    text,
    payment_method_id   text,
    error_code          text,
    error_decline_code  text,
    error_message       text,
    cancellation_reason text,
    canceled_at         timestamptz,
    metadata            jsonb NOT NULL,
    event_id            text NOT NULL,
    event_created       timestamptz NOT NULL,
    PRIMARY KEY (account, id)
)
WITH (fillfactor = 80);
CREATE INDEX payment_intents_customer ON payment_intents (account, customer_id) WHERE customer_id IS NOT NULL;

-- Single attempts to take money. Amounts in minor units.
CREATE TABLE charges (
    account                text NOT NULL,
    id                     text NOT NULL,
    livemode               boolean NOT NULL,
    created                timestamptz,
    customer_id            text,
    payment_intent_id      text,
    invoice_id             text,
    status                 text,
    currency               text,
    amount                 bigint,
    amount_captured        bigint,
    amount_refunded        bigint,
    refunded               boolean NOT NULL,
    disputed               boolean NOT NULL,
    paid                   boolean NOT NULL,
    failure_code           text,
    failure_message        text,
    balance_transaction_id text,
    receipt_url            text,
    metadata               jsonb NOT NULL,
    event_id               text NOT NULL,
    event_created          timestamptz NOT NULL,
    PRIMARY KEY (account, id)
)
WITH (fillfactor = 80);
CREATE INDEX charges_payment_intent ON charges (account, payment_intent_id) WHERE payment_intent_id IS NOT NULL;

-- Money going back. Amounts in minor units.
CREATE TABLE refunds (
    account           text NOT NULL,
    id                text NOT NULL,
    livemode          boolean NOT NULL,
    created           timestamptz,
    charge_id         text,
    payment_intent_id text,
    status            text,
    currency          text,
    amount            bigint,
    reason            text,
    failure_reason    text,
    metadata          jsonb NOT NULL,
    event_id          text NOT NULL,
    event_created     timestamptz NOT NULL,
    PRIMARY KEY (account, id)
)
WITH (fillfactor = 80);
CREATE INDEX refunds_charge ON refunds (account, charge_id) WHERE charge_id IS NOT NULL;
CREATE INDEX refunds_payment_intent ON refunds (account, payment_intent_id) WHERE payment_intent_id IS NOT NULL;

-- Chargebacks and inquiries. Amounts in minor units.
CREATE TABLE disputes (
    account              text NOT NULL,
    id                   text NOT NULL,
    livemode             boolean NOT NULL,
    created              timestamptz,
    charge_id            text,
    payment_intent_id    text,
    status               text,
    currency             text,
    amount               bigint,
    reason               text,
    evidence_due_by      timestamptz,
    balance_transactions bigint NOT NULL,
    metadata             jsonb NOT NULL,
    event_id             text NOT NULL,
    event_created        timestamptz NOT NULL,
    PRIMARY KEY (account, id)
)
WITH (fillfactor = 80);
CREATE INDEX disputes_charge ON disputes (account, charge_id) WHERE charge_id IS NOT NULL;

-- How customers came to pay. Amounts in minor units.
CREATE TABLE checkout_sessions (
    account             text NOT NULL,
    id                  text NOT NULL,
    livemode            boolean NOT NULL,
    created             timestamptz,
    mode                text,
    status              text,
    payment_status      text,
    customer_id         text,
    client_reference_id text,
    user_id             text,
    payment_intent_id   text,
    subscription_id     text,
    invoice_id          text,
    currency            text,
    amount_subtotal     bigint,
    amount_total        bigint,
    expires_at          timestamptz,
    metadata            jsonb NOT NULL,
    event_id            text NOT NULL,
    event_created       timestamptz NOT NULL,
    PRIMARY KEY (account, id)
)
WITH (fillfactor = 80);
CREATE INDEX checkout_sessions_customer ON checkout_sessions (account, customer_id) WHERE customer_id IS NOT NULL;
CREATE INDEX checkout_sessions_payment_intent ON checkout_sessions (account, payment_intent_id) WHERE payment_intent_id IS NOT NULL;

-- Links between invoices and the money that paid them. Amounts in minor units.
CREATE TABLE invoice_payments (
    account           text NOT NULL,
    id                text NOT NULL,
    livemode          boolean NOT NULL,
    created           timestamptz,
    invoice_id        text,
    status            text,
    payment_type      text,
    payment_intent_id text,
    charge_id         text,
    currency          text,
    amount_paid       bigint,
    amount_requested  bigint,
    is_default        boolean NOT NULL,
    paid_at           timestamptz,
    event_id          text NOT NULL,
    event_created     timestamptz NOT NULL,
    PRIMARY KEY (account, id)
)
WITH (fillfactor = 80);
CREATE INDEX invoice_payments_invoice ON invoice_payments (account, invoice_id) WHERE invoice_id IS NOT NULL;
CREATE INDEX invoice_payments_payment_intent ON invoice_payments (account, payment_intent_id) WHERE payment_intent_id IS NOT NULL;

-- The catalogue: what is sold.
CREATE TABLE products (
    account          text NOT NULL,
    id               text NOT NULL,
    livemode         boolean NOT NULL,
    created          timestamptz,
    name             text,
    description      text,
    active           boolean NOT NULL,
    default_price_id text,
    deleted          boolean NOT NULL,
    metadata         jsonb NOT NULL,
    event_id         text NOT NULL,
    event_created    timestamptz NOT NULL,
    PRIMARY KEY (account, id)
)
WITH (fillfactor = 80);

-- The catalogue: what it costs. Amounts in minor units.
CREATE TABLE prices (
    account                  text NOT NULL,
    id                       text NOT NULL,
    livemode                 boolean NOT NULL,
    created                  timestamptz,
    product_id               text,
    active                   boolean NOT NULL,
    price_type               text,
    currency                 text,
    unit_amount              bigint,
    unit_amount_decimal      text,
    recurring_interval       text,
    recurring_interval_count bigint,
    lookup_key               text,
    nickname                 text,
    deleted                  boolean NOT NULL,
    metadata                 jsonb NOT NULL,
    event_id                 text NOT NULL,
    event_created            timestamptz NOT NULL,
    PRIMARY KEY (account, id)
)
WITH (fillfactor = 80);
CREATE INDEX prices_product ON prices (account, product_id) WHERE product_id IS NOT NULL;

-- What a subscription is for; the set of the subscription's newest snapshot.
CREATE TABLE subscription_items (
    account              text NOT NULL,
    subscription_id      text NOT NULL,
    id                   text NOT NULL,
    position             integer NOT NULL,
    price_id             text,
    product_id           text,
    quantity             bigint,
    current_period_start timestamptz,
    current_period_end   timestamptz,
    PRIMARY KEY (account, subscription_id, id)
)
WITH (fillfactor = 80);

-- What an invoice bills; the set of the invoice's newest snapshot. Amounts in minor units.
CREATE TABLE invoice_lines (
    account              text NOT NULL,
    invoice_id           text NOT NULL,
    id                   text NOT NULL,
    position             integer NOT NULL,
    amount               bigint,
    currency             text,
    description          text,
    quantity             bigint,
    price_id             text,
    product_id           text,
    proration            boolean NOT NULL,
    subscription_id      text,
    subscription_item_id text,
    period_start         timestamptz,
    period_end           timestamptz,
    PRIMARY KEY (account, invoice_id, id)
)
WITH (fillfactor = 80);

-- Whether all of a customer's entitlements are known. Its id is the customer's.
CREATE TABLE entitlement_summaries (
    account       text NOT NULL,
    id            text NOT NULL,
    livemode      boolean NOT NULL,
    has_more      boolean NOT NULL,
    event_id      text NOT NULL,
    event_created timestamptz NOT NULL,
    PRIMARY KEY (account, id)
)
WITH (fillfactor = 80);

-- The features a customer may use; always replaced as a whole set.
CREATE TABLE entitlements (
    account     text NOT NULL,
    customer_id text NOT NULL,
    id          text NOT NULL,
    position    integer NOT NULL,
    lookup_key  text,
    feature_id  text,
    PRIMARY KEY (account, customer_id, id)
)
WITH (fillfactor = 80);
