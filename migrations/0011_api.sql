-- Why: the billing API reads and writes for people who must only see what is theirs. Handlers check that; this makes
-- the database hold it even where a handler forgets. Also what the API itself has to remember. See ADR 13.
-- A running older version sees: row-level security on tables it owns, which does not apply to owners; a role that is
-- not the owner passes by the policy `others`.

-- The API works as this role, which can neither bypass row-level security nor write what follows from events. Roles
-- belong to the whole cluster: another database may have made it, perhaps at this moment.
DO $$
BEGIN
    CREATE ROLE tollgate_api NOLOGIN;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
    WHEN insufficient_privilege THEN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tollgate_api') THEN
            RAISE EXCEPTION 'the role tollgate_api is missing, and may not be made by %', current_user
                USING HINT = 'Let an administrator run CREATE ROLE tollgate_api NOLOGIN, and migrate again.';
        END IF;
END $$;
DO $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO tollgate_api', current_schema());
    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO tollgate_api', current_schema());
END $$;

-- Who asks, as the API says at the start of each transaction: `tollgate.actor_account`, `tollgate.actor_role` (`user`,
-- `service` or `admin`) and, of a user, `tollgate.actor_user`. Without them nothing is seen.
CREATE FUNCTION actor_role(_account text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN current_setting('tollgate.actor_account', true) = _account
                THEN current_setting('tollgate.actor_role', true) END
$$;
CREATE FUNCTION actor_user() RETURNS text LANGUAGE sql STABLE AS
    $$ SELECT nullif(current_setting('tollgate.actor_user', true), '') $$;
-- The application and its staff see everybody of their account.
CREATE FUNCTION actor_sees_all(_account text) RETURNS boolean LANGUAGE sql STABLE AS
    $$ SELECT coalesce(actor_role(_account) IN ('service', 'admin'), false) $$;
CREATE FUNCTION actor_is(_account text, _user text) RETURNS boolean LANGUAGE sql STABLE AS
    $$ SELECT coalesce(actor_role(_account) = 'user' AND actor_user() = _user, false) $$;
CREATE FUNCTION actor_may_act_for(_account text, _user text) RETURNS boolean LANGUAGE sql STABLE AS
    $$ SELECT actor_sees_all(_account) OR actor_is(_account, _user) $$;

-- What a user sees of each table. A subquery in a policy is itself subject to the policies of what it reads.
DO $$
DECLARE
    of_customer text := 'EXISTS (SELECT FROM customer_users m
        WHERE (m.account, m.customer_id) = (%1$I.account, %1$I.customer_id) AND actor_is(m.account, m.user_id))';
    seen record;
BEGIN
    FOR seen IN
        SELECT * FROM (VALUES
            ('users', 'actor_is(account, id)'),
            ('customer_users', 'actor_is(account, user_id)'),
            ('team_members', 'actor_is(account, user_id)'),
            ('subscription_states', 'actor_is(account, user_id)'),
            ('customers', replace(of_customer, '%1$I.customer_id', 'customers.id')),
            ('subscriptions', of_customer),
            ('invoices', of_customer),
            ('payment_intents', of_customer),
            ('charges', of_customer),
            ('checkout_sessions', 'actor_is(account, user_id) OR ' || of_customer),
            ('entitlements', of_customer),
            ('entitlement_summaries', replace(of_customer, '%1$I.customer_id', 'entitlement_summaries.id')),
            ('refunds', 'EXISTS (SELECT FROM charges c WHERE (c.account, c.id) = (refunds.account, refunds.charge_id))'),
            ('disputes', 'EXISTS (SELECT FROM charges c WHERE (c.account, c.id) = (disputes.account, disputes.charge_id))'),
            ('subscription_items', 'EXISTS (SELECT FROM subscriptions s
                WHERE (s.account, s.id) = (subscription_items.account, subscription_items.subscription_id))'),
            ('invoice_lines', 'EXISTS (SELECT FROM invoices i
                WHERE (i.account, i.id) = (invoice_lines.account, invoice_lines.invoice_id))'),
            ('invoice_payments', 'EXISTS (SELECT FROM invoices i
                WHERE (i.account, i.id) = (invoice_payments.account, invoice_payments.invoice_id))'),
            ('money_sources', $p$(owner_kind = 'user' AND actor_is(account, owner_id))$p$),
            -- A team's balance is its members' to know; what other members spent is not.
            ('ledger_accounts', $p$(owner_kind = 'user' AND actor_is(account, owner_id)) OR (owner_kind = 'team'
                AND EXISTS (SELECT FROM team_members m WHERE (m.account, m.team_id) = (ledger_accounts.account, owner_id)
                            AND actor_is(m.account, m.user_id)))$p$),
            ('ledger_transfers', $p$(user_id IS NULL OR actor_is(account, user_id)) AND EXISTS (SELECT FROM ledger_accounts a
                WHERE a.id IN (ledger_transfers.from_id, ledger_transfers.to_id))$p$),
            ('expired_grants', 'EXISTS (SELECT FROM ledger_accounts a WHERE a.id = expired_grants.ledger_account_id)'),
            -- How things came about is for staff.
            ('events', 'false'),
            ('redeliveries', 'false'),
            -- What could not even be read belongs to no account.
            ('parked_events', $p$account IS NULL AND actor_role(current_setting('tollgate.actor_account', true)) = 'admin'$p$),
            ('objects', 'false'),
            ('outbox', 'false'),
            ('refetches', 'false'),
            ('marks', 'false')
        ) AS visible (name, of_user)
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', seen.name);
        EXECUTE format('CREATE POLICY api ON %I TO tollgate_api USING (actor_sees_all(account) OR (%s))',
                       seen.name, format(seen.of_user, seen.name));
        -- Workers and operators whose role does not own the tables.
        EXECUTE format('CREATE POLICY others ON %I USING ((SELECT NOT pg_has_role(current_user, ''tollgate_api'', ''USAGE'')))',
                       seen.name);
    END LOOP;
END $$;
-- The view shows what who asks may see, not what its owner may.
ALTER VIEW ledger_entries SET (security_invoker = true);

-- Answers to requests that must not be carried out twice, by the caller's `Idempotency-Key`.
CREATE TABLE api_requests (
    account      text        NOT NULL,
    caller       text        NOT NULL,              -- whose key it is: role and subject of the token
    key          text        NOT NULL,
    fingerprint  bytea       NOT NULL,              -- of method, path and body: a key is for one request
    locked_until timestamptz NOT NULL,              -- while it is carried out; after that, whoever comes next does it
    status       smallint,                          -- the answer, once there is one
    content_type text,
    body         bytea,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (account, caller, key)
);
CREATE INDEX api_requests_created ON api_requests (created_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON api_requests TO tollgate_api;

-- What people did with their power, and why. Append-only, like the ledger.
CREATE TABLE audit_log (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account    text        NOT NULL,
    actor      text        NOT NULL,                -- subject of the token, or the operator's login
    role       text        NOT NULL,
    action     text        NOT NULL,                -- a word from a closed set
    user_id    text,                                -- whom it concerns
    subject    text,                                -- what it concerns
    reason     text        NOT NULL CHECK (reason <> ''),
    detail     jsonb       NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX audit_log_user ON audit_log (account, user_id, id) WHERE user_id IS NOT NULL;
CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();
ALTER TABLE audit_log ENABLE ROW LEVEL SECURITY;
CREATE POLICY api ON audit_log TO tollgate_api USING (actor_role(account) = 'admin');
CREATE POLICY api_writes ON audit_log FOR INSERT TO tollgate_api WITH CHECK (actor_sees_all(account));
CREATE POLICY others ON audit_log USING ((SELECT NOT pg_has_role(current_user, 'tollgate_api', 'USAGE')));
GRANT SELECT, INSERT ON audit_log TO tollgate_api;

-- Features that can be taken off without a deploy. A feature without a row is on.
CREATE TABLE switches (
    account    text        NOT NULL,
    feature    text        NOT NULL CHECK (feature IN ('billing')),
    is_on      boolean     NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (account, feature)
);
GRANT SELECT, INSERT, UPDATE ON switches TO tollgate_api;

-- The API's role writes the ledger through functions that look at who asks, and in no other way.
CREATE FUNCTION api_spend(_account text, _user text, _credits bigint, _key text, _reason text)
RETURNS TABLE (outcome text, available bigint) LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
BEGIN
    IF NOT actor_sees_all(_account) THEN
        RAISE EXCEPTION 'only the application may spend' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN QUERY SELECT s.outcome, s.available FROM spend_credits(_account, _user, _credits, _key, _reason) AS s;
END $$;

-- Credits all users and teams hold together: a number, of which nobody's own share can be told.
CREATE FUNCTION api_outstanding(_account text) RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER
SET search_path FROM CURRENT AS $$
    SELECT coalesce(-sum(balance), 0)::bigint FROM ledger_accounts WHERE account = _account AND owner_kind = 'platform'
$$;
-- Functions are everybody's unless said otherwise.
REVOKE ALL ON FUNCTION api_spend(text, text, bigint, text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION api_outstanding(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api_spend(text, text, bigint, text, text), api_outstanding(text) TO tollgate_api;
