-- no-transaction
-- Why: 0043. A page of a customer's letters reads those alone.
-- A running older version sees: nothing.
CREATE INDEX CONCURRENTLY IF NOT EXISTS parked_events_customer ON parked_events (account, state, customer_id, parked_at, id)
    WHERE customer_id IS NOT NULL;
