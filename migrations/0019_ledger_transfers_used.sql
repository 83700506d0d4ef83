-- no-transaction
-- Why: what a user used this month is summed from the index alone.
-- A running older version sees: nothing.
CREATE INDEX CONCURRENTLY IF NOT EXISTS ledger_transfers_used
    ON ledger_transfers (account, user_id, created_at) INCLUDE (kind, amount) WHERE user_id IS NOT NULL;
