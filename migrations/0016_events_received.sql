-- no-transaction
-- Why: people look for what came in lately. Rows come nearly in this order, so the index grows at its end and costs little.
-- A running older version sees: nothing.
CREATE INDEX CONCURRENTLY IF NOT EXISTS events_received ON events (account, received_at, id);
