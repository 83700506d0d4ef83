-- Why: work that may fail takes its credits before it begins and gives back what it did not use. Staff correct balances,
-- and the application says who is in a team; both through the API's role, which may do nothing else to these tables.
-- A running older version sees: transfers of a kind it does not know, which concern no source of its own.

ALTER TABLE ledger_transfers DROP CONSTRAINT ledger_transfers_kind_check;
ALTER TABLE ledger_transfers ADD CONSTRAINT ledger_transfers_kind_check CHECK (kind IN
    ('grant', 'topup', 'free', 'refund', 'dispute', 'spend', 'release', 'expire', 'adjust')) NOT VALID;
-- Who spent it, or gets it back.
ALTER TABLE ledger_transfers DROP CONSTRAINT ledger_transfers_check1;
ALTER TABLE ledger_transfers ADD CONSTRAINT ledger_transfers_user_check
    CHECK ((kind IN ('spend', 'release')) = (user_id IS NOT NULL)) NOT VALID;

-- As in 0006, and: what was spent can be given back to whom it was taken from.
CREATE OR REPLACE FUNCTION ledger_move() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    low bigint := nullif(current_setting('tollgate.credits_low', true), '')::bigint;
    wrong text;
BEGIN
    PERFORM FROM ledger_accounts
    WHERE id = ANY (ARRAY(SELECT from_id FROM transfers UNION SELECT to_id FROM transfers))
    ORDER BY id FOR NO KEY UPDATE;

    WITH moved AS (
        SELECT id, sum(credits)::bigint AS credits
        FROM (SELECT to_id AS id, amount AS credits FROM transfers
              UNION ALL SELECT from_id, -amount FROM transfers) AS lines
        GROUP BY id
    ), stand AS (
        UPDATE ledger_accounts a SET balance = balance + moved.credits FROM moved WHERE a.id = moved.id
        RETURNING a.account, a.owner_kind, a.owner_id, a.balance, moved.credits
    )
    INSERT INTO outbox (account, key, type, subject_kind, subject_id, user_id, data)
    SELECT account, concat_ws(':', 'credits.low', owner_kind, owner_id, (SELECT max(id) FROM transfers)),
           'credits.low', owner_kind, owner_id, CASE WHEN owner_kind = 'user' THEN owner_id END,
           jsonb_build_object('balance', balance, 'low', low)
    FROM stand
    WHERE low > 0 AND owner_kind <> 'platform' AND balance <= low AND balance - credits > low;

    -- Each transfer is between an owner and the platform's account for its kind.
    SELECT t.key INTO wrong
    FROM transfers t
    JOIN ledger_accounts f ON f.id = t.from_id
    JOIN ledger_accounts o ON o.id = t.to_id
    WHERE (f.account, o.account) <> (t.account, t.account)
       OR (f.owner_kind = 'platform') = (o.owner_kind = 'platform')
       OR split_part(CASE WHEN f.owner_kind = 'platform' THEN f.owner_id ELSE o.owner_id END, ':', 1) <> ALL (CASE t.kind
              WHEN 'spend' THEN ARRAY['spent'] WHEN 'release' THEN ARRAY['spent'] WHEN 'expire' THEN ARRAY['expired']
              WHEN 'adjust' THEN ARRAY['adjusted'] WHEN 'dispute' THEN ARRAY['issued', 'held'] ELSE ARRAY['issued'] END)
       OR (t.kind = 'spend' AND f.owner_kind = 'platform')
       OR (t.kind = 'release' AND o.owner_kind = 'platform')
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the accounts of transfer % do not suit its kind', wrong
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_accounts_suit_kind';
    END IF;

    -- What was granted and spent can be refunded or disputed, so a balance may go below zero; spending may not take it there.
    SELECT t.key INTO wrong
    FROM transfers t JOIN ledger_accounts f ON f.id = t.from_id
    WHERE t.kind = 'spend' AND f.balance < 0
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'too few credits for transfer %', wrong
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_spend_within_balance';
    END IF;
    RETURN NULL;
END $$;

-- Credits that were taken for work that may fail.
CREATE TABLE reservations (
    account    text        NOT NULL,
    id         text        NOT NULL,                -- rsv_...
    user_id    text        NOT NULL,
    credits    bigint      NOT NULL CHECK (credits > 0),
    used       bigint      CHECK (used BETWEEN 0 AND credits), -- once it is settled; the rest went back
    status     text        NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'committed', 'released', 'expired')),
    reason     text,
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    settled_at timestamptz,
    PRIMARY KEY (account, id),
    CHECK ((status = 'open') = (used IS NULL))
)
WITH (fillfactor = 80);
CREATE INDEX reservations_open ON reservations (expires_at) WHERE status = 'open';
CREATE INDEX reservations_user ON reservations (account, user_id, created_at);
ALTER TABLE reservations ENABLE ROW LEVEL SECURITY;
CREATE POLICY api ON reservations TO tollgate_api USING (actor_may_act_for(account, user_id));
CREATE POLICY others ON reservations USING ((SELECT NOT pg_has_role(current_user, 'tollgate_api', 'USAGE')));
GRANT SELECT ON reservations TO tollgate_api;

-- Takes credits as a spend does, and keeps them for a reservation. The same id again changes nothing. Outcomes: as of
-- spend_credits.
CREATE FUNCTION api_reserve(_account text, _user text, _credits bigint, _id text, _reason text, _seconds bigint)
RETURNS TABLE (outcome text, available bigint) LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
BEGIN
    SELECT s.outcome, s.available INTO outcome, available
    FROM api_spend(_account, _user, _credits, 'reserve:' || _id, _reason) AS s;
    IF outcome = 'spent' THEN
        INSERT INTO reservations (account, id, user_id, credits, reason, expires_at)
        VALUES (_account, _id, _user, _credits, _reason, clock_timestamp() + _seconds * interval '1 second');
    END IF;
    RETURN NEXT;
END $$;

-- Settles an open reservation: so many credits were used, the others go back to whom they were taken from, those taken
-- last first. Nothing else ever changes a reservation, so the same again answers the same. Outcomes: settled, repeated,
-- conflict (it was settled otherwise), too_many (more than were reserved), unknown.
CREATE FUNCTION api_settle(_account text, _id text, _used bigint, _status text)
RETURNS TABLE (outcome text) LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
DECLARE
    it reservations;
BEGIN
    IF NOT actor_sees_all(_account) THEN
        RAISE EXCEPTION 'only the application may settle' USING ERRCODE = 'insufficient_privilege';
    END IF;
    SELECT * INTO it FROM reservations r WHERE (r.account, r.id) = (_account, _id) FOR UPDATE;
    outcome := CASE
        WHEN it.id IS NULL THEN 'unknown'
        WHEN it.status <> 'open' THEN CASE WHEN (it.status, it.used) = (_status, _used) THEN 'repeated' ELSE 'conflict' END
        WHEN _used NOT BETWEEN 0 AND it.credits THEN 'too_many'
        ELSE 'settled' END;
    IF outcome = 'settled' THEN
        INSERT INTO ledger_transfers (account, key, seq, kind, from_id, to_id, amount, user_id, reason)
        SELECT _account, 'release:' || _id, row_number() OVER (ORDER BY taken.seq DESC), 'release', taken.to_id,
               taken.from_id, least(taken.amount, it.credits - _used - taken.after), it.user_id, it.reason
        FROM (SELECT t.seq, t.from_id, t.to_id, t.amount,
                     sum(t.amount) OVER (ORDER BY t.seq DESC ROWS UNBOUNDED PRECEDING)::bigint - t.amount AS after
              FROM ledger_transfers t WHERE (t.account, t.key) = (_account, 'spend:reserve:' || _id)) AS taken
        WHERE taken.after < it.credits - _used;
        UPDATE reservations r SET status = _status, used = _used, settled_at = clock_timestamp()
        WHERE (r.account, r.id) = (_account, _id);
    END IF;
    RETURN NEXT;
END $$;

-- Corrects a user's balance by hand, once for each key. Outcomes: adjusted, repeated, conflict, below_zero.
CREATE FUNCTION api_adjust(_account text, _user text, _credits bigint, _key text, _reason text)
RETURNS TABLE (outcome text, balance bigint) LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
DECLARE
    whole text := 'adjust:' || _key;
    owner bigint;
    platform bigint;
    before record;
BEGIN
    IF actor_role(_account) IS DISTINCT FROM 'admin' THEN
        RAISE EXCEPTION 'only staff may correct a balance' USING ERRCODE = 'insufficient_privilege';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended(whole || ':' || _account, 0));
    owner := ledger_account_of(_account, 'user', _user);
    platform := ledger_account_of(_account, 'platform', ledger_platform('adjusted', _user));
    PERFORM FROM ledger_accounts a WHERE a.id IN (owner, platform) ORDER BY a.id FOR NO KEY UPDATE;
    SELECT t.amount, t.to_id, t.from_id INTO before FROM ledger_transfers t
    WHERE (t.account, t.key, t.seq) = (_account, whole, 1);
    SELECT a.balance INTO balance FROM ledger_accounts a WHERE a.id = owner;
    IF FOUND AND before.amount IS NOT NULL THEN
        outcome := CASE WHEN before.amount = abs(_credits)
                         AND owner = CASE WHEN _credits > 0 THEN before.to_id ELSE before.from_id END
                        THEN 'repeated' ELSE 'conflict' END;
    ELSIF balance + _credits < least(balance, 0) THEN
        outcome := 'below_zero';
    ELSE
        INSERT INTO ledger_transfers (account, key, seq, kind, from_id, to_id, amount, reason)
        VALUES (_account, whole, 1, 'adjust', CASE WHEN _credits > 0 THEN platform ELSE owner END,
                CASE WHEN _credits > 0 THEN owner ELSE platform END, abs(_credits), _reason);
        outcome := 'adjusted';
        balance := balance + _credits;
    END IF;
    RETURN NEXT;
END $$;

REVOKE ALL ON FUNCTION api_reserve(text, text, bigint, text, text, bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION api_settle(text, text, bigint, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION api_adjust(text, text, bigint, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api_reserve(text, text, bigint, text, text, bigint), api_settle(text, text, bigint, text),
    api_adjust(text, text, bigint, text, text) TO tollgate_api;

-- Users see which teams they are in; who is in one is the application's to say.
DROP POLICY api ON team_members;
CREATE POLICY api ON team_members FOR SELECT TO tollgate_api USING (actor_may_act_for(account, user_id));
CREATE POLICY api_adds ON team_members FOR INSERT TO tollgate_api WITH CHECK (actor_sees_all(account));
CREATE POLICY api_removes ON team_members FOR DELETE TO tollgate_api USING (actor_sees_all(account));
GRANT INSERT, DELETE ON team_members TO tollgate_api;
