-- no-transaction
-- Why: what came back of sales is found by time, also where Stripe told of no refund.
-- A running older version sees: nothing.
CREATE INDEX CONCURRENTLY IF NOT EXISTS charges_refunded ON charges (account, created) WHERE amount_refunded > 0;
