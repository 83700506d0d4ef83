-- no-transaction
-- Why: subscriptions that ended are counted by time.
-- A running older version sees: nothing.
CREATE INDEX CONCURRENTLY IF NOT EXISTS subscriptions_ended ON subscriptions (account, ended_at) WHERE ended_at IS NOT NULL;
