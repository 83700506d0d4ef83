-- Why: what the ops page has to show and nobody kept. When a worker began with an event, and which attempt that was; how
-- far connected accounts are compared with Stripe's lists; and who paused the queue with a command that knows no Postgres.
-- A running older version sees: columns it does not write, which stay empty for its events, and no pause of a command.

-- Written with the row itself: no statement more.
ALTER TABLE events
    ADD COLUMN begun_at   timestamptz,              -- when the worker that settled it began with it
    ADD COLUMN deliveries integer;                  -- how often the entry had been given to a worker by then

-- Whose webhooks and key it is, the platform, sees that of its connected accounts as well: ids and types of events, nobody's
-- data.
DROP POLICY api ON coverage;
CREATE POLICY api ON coverage FOR SELECT TO tollgate_api
    USING (actor_role(account) = 'admin' OR actor_role('') = 'admin');
DROP POLICY api ON coverage_holes;
CREATE POLICY api ON coverage_holes FOR SELECT TO tollgate_api
    USING (actor_role(account) = 'admin' OR actor_role('') = 'admin');

-- Redis keeps what was done to the queue until a worker has written it here; several may try, and one of them does.
CREATE UNIQUE INDEX audit_log_queue ON audit_log (action, subject)
    WHERE action IN ('queue.pause', 'queue.resume') AND subject IS NOT NULL;

-- The resyncs of a customer, the newest first.
CREATE INDEX resyncs_customer ON resyncs (account, customer_id, made_at);
