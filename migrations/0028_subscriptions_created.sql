-- no-transaction
-- Why: new subscriptions are counted by time.
-- A running older version sees: nothing.
CREATE INDEX CONCURRENTLY IF NOT EXISTS subscriptions_created ON subscriptions (account, created);
