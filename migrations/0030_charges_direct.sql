-- no-transaction
-- Why: charges without a payment intent are looked for by customer.
-- A running older version sees: nothing.
CREATE INDEX CONCURRENTLY IF NOT EXISTS charges_direct ON charges (account, customer_id)
    WHERE payment_intent_id IS NULL AND customer_id IS NOT NULL;
