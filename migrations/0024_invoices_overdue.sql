-- no-transaction
-- Why: staff look at what failed of late, also where nobody told of the payment.
-- A running older version sees: nothing.
CREATE INDEX CONCURRENTLY IF NOT EXISTS invoices_overdue ON invoices (account, event_created, id)
    WHERE status = 'open' AND attempt_count > 0;
