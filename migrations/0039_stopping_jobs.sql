-- Why: who asks for a replay in the API, as the ops page does, also has to be able to stop it. Postgres holds that staff may,
-- and that the API's role can do nothing else to a job.
-- A running older version sees: nothing, it does not try.
CREATE POLICY api_stops ON dead_jobs FOR UPDATE TO tollgate_api
    USING (actor_role(account) = 'admin' AND state = 'open')
    WITH CHECK (actor_role(account) = 'admin' AND state = 'stopped');
GRANT UPDATE (state, finished_at, lease, leased_until) ON dead_jobs TO tollgate_api;
