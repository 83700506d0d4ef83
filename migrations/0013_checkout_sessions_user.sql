-- no-transaction
-- Why: staff look into one user, whose checkouts may have no customer yet.
-- A running older version sees: nothing.
CREATE INDEX CONCURRENTLY IF NOT EXISTS checkout_sessions_user ON checkout_sessions (account, user_id)
    WHERE user_id IS NOT NULL;
