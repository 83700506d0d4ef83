-- no-transaction
-- Why: payments are counted by the day they began on (see 0038).
-- A running older version sees: nothing.
CREATE INDEX CONCURRENTLY IF NOT EXISTS payment_intents_created ON payment_intents (account, created);
