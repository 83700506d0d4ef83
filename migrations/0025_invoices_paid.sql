-- no-transaction
-- Why: sales are counted by time.
-- A running older version sees: nothing.
CREATE INDEX CONCURRENTLY IF NOT EXISTS invoices_paid ON invoices (account, created) WHERE status = 'paid';
