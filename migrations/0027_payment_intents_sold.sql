-- no-transaction
-- Why: sales are counted by time.
-- A running older version sees: nothing.
CREATE INDEX CONCURRENTLY IF NOT EXISTS payment_intents_sold ON payment_intents (account, created)
    WHERE metadata ->> 'credits_source' = 'payment_intent';
