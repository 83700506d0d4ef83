-- no-transaction
-- Why: what came back of sales is found by time.
-- A running older version sees: nothing.
CREATE INDEX CONCURRENTLY IF NOT EXISTS refunds_created ON refunds (account, created);
