-- no-transaction
-- Why: staff look at what failed of late; nearly everything did not.
-- A running older version sees: nothing.
CREATE INDEX CONCURRENTLY IF NOT EXISTS payment_intents_failed ON payment_intents (account, event_created, id)
    WHERE error_code IS NOT NULL;
