-- no-transaction
-- Why: sales are counted by time.
-- A running older version sees: nothing.
CREATE INDEX CONCURRENTLY IF NOT EXISTS checkout_sessions_paid ON checkout_sessions (account, created)
    WHERE mode = 'payment' AND status = 'complete';
