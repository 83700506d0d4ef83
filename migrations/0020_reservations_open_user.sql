-- no-transaction
-- Why: what is reserved for one user is asked for, and most reservations are over.
-- A running older version sees: nothing.
CREATE INDEX CONCURRENTLY IF NOT EXISTS reservations_open_user ON reservations (account, user_id) INCLUDE (credits)
    WHERE status = 'open';
