-- Why: the credit ledger. Append-only and double-entry: a transfer takes from one account what it gives to another,
-- so the sum over all accounts is zero by construction. Balances are kept by the database itself, in the same
-- statement; nobody else may touch them.
-- A running older version sees: nothing, the tables are new.

-- Users and teams hold credits; the platform's accounts are the other side of each transfer. A platform account has
-- parts (`issued:0` ... `issued:15`), so that two workers seldom wait for the same row.
CREATE TABLE ledger_accounts (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account    text   NOT NULL,
    owner_kind text   NOT NULL CHECK (owner_kind IN ('user', 'team', 'platform')),
    owner_id   text   NOT NULL,
    balance    bigint NOT NULL DEFAULT 0,
    UNIQUE (account, owner_kind, owner_id)
)
WITH (fillfactor = 50);

CREATE TABLE ledger_transfers (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account     text        NOT NULL,
    key         text        NOT NULL,               -- business key: grant:<invoice>, topup:<session>, refund:<payment>, ...
    seq         integer     NOT NULL CHECK (seq > 0), -- 1, 2, ... within the key: corrections follow, nothing is changed
    kind        text        NOT NULL CHECK (kind IN
        ('grant', 'topup', 'free', 'refund', 'dispute', 'spend', 'expire', 'adjust')),
    from_id     bigint      NOT NULL REFERENCES ledger_accounts,
    to_id       bigint      NOT NULL REFERENCES ledger_accounts,
    amount      bigint      NOT NULL CHECK (amount > 0), -- credits
    source_kind text,                               -- what was paid; see money_sources
    source_id   text,
    reason      text,
    expires_at  timestamptz,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (account, key, seq),                     -- one effect per business key, whatever the program does
    CHECK (from_id <> to_id),
    CHECK ((kind IN ('grant', 'topup', 'refund', 'dispute')) = (source_id IS NOT NULL))
);
CREATE INDEX ledger_transfers_source ON ledger_transfers (account, source_kind, source_id)
    WHERE source_id IS NOT NULL;
-- History and sums of one account.
CREATE INDEX ledger_transfers_to ON ledger_transfers (to_id, id);
CREATE INDEX ledger_transfers_from ON ledger_transfers (from_id, id);
CREATE INDEX ledger_transfers_expiring ON ledger_transfers (expires_at) WHERE expires_at IS NOT NULL;

-- Moves balances for the rows of one statement. Accounts are locked in id order, so two statements never deadlock.
CREATE FUNCTION ledger_move() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    short bigint;
BEGIN
    PERFORM FROM ledger_accounts
    WHERE id IN (SELECT from_id FROM transfers UNION SELECT to_id FROM transfers)
    ORDER BY id FOR NO KEY UPDATE;

    UPDATE ledger_accounts SET balance = balance + moved.credits
    FROM (
        SELECT id, sum(credits)::bigint AS credits
        FROM (SELECT to_id AS id, amount AS credits FROM transfers
              UNION ALL SELECT from_id, -amount FROM transfers) AS lines
        GROUP BY id
    ) AS moved
    WHERE ledger_accounts.id = moved.id;

    -- What was granted and spent can be refunded or disputed, so a balance may go below zero; spending may not take it there.
    SELECT ledger_accounts.id INTO short
    FROM transfers JOIN ledger_accounts ON ledger_accounts.id = transfers.from_id
    WHERE transfers.kind = 'spend' AND ledger_accounts.balance < 0
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'ledger account % has too few credits', short
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_spend_within_balance';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER ledger_move AFTER INSERT ON ledger_transfers
    REFERENCING NEW TABLE AS transfers FOR EACH STATEMENT EXECUTE FUNCTION ledger_move();

CREATE FUNCTION ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: correct it with another transfer', TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER ledger_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_transfers
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only();

CREATE FUNCTION ledger_balance_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Only ledger_move, itself a trigger, may.
    IF pg_trigger_depth() < 2 THEN
        RAISE EXCEPTION 'balances follow from ledger_transfers; insert a transfer'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER ledger_balance_is_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_accounts
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_balance_is_kept();

CREATE FUNCTION ledger_starts_empty() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.balance <> 0 THEN
        RAISE EXCEPTION 'a ledger account begins with balance 0' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER ledger_starts_empty BEFORE INSERT ON ledger_accounts
    FOR EACH ROW EXECUTE FUNCTION ledger_starts_empty();

-- Each transfer as the two entries it is: what people mean by an account's history.
CREATE VIEW ledger_entries AS
    SELECT id AS transfer_id, account, to_id AS ledger_account_id, amount, key, seq, kind, source_kind, source_id,
           reason, expires_at, created_at
    FROM ledger_transfers
    UNION ALL
    SELECT id, account, from_id, -amount, key, seq, kind, source_kind, source_id, reason, expires_at, created_at
    FROM ledger_transfers;

-- Who may draw from a team's credits. The database, not the caller, decides whose credits a spend takes.
CREATE TABLE team_members (
    account text NOT NULL,
    team_id text NOT NULL,
    user_id text NOT NULL,
    PRIMARY KEY (account, user_id, team_id)
);

-- The platform's side is spread over parts by owner.
CREATE FUNCTION ledger_platform(purpose text, owner text) RETURNS text LANGUAGE sql IMMUTABLE AS
    $$ SELECT purpose || ':' || (hashtext(owner) & 15) $$;

CREATE FUNCTION ledger_account_of(_account text, _kind text, _owner text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    found_id bigint;
BEGIN
    SELECT id INTO found_id FROM ledger_accounts WHERE (account, owner_kind, owner_id) = (_account, _kind, _owner);
    IF found_id IS NULL THEN
        INSERT INTO ledger_accounts (account, owner_kind, owner_id) VALUES (_account, _kind, _owner)
        ON CONFLICT DO NOTHING;
        SELECT id INTO found_id FROM ledger_accounts WHERE (account, owner_kind, owner_id) = (_account, _kind, _owner);
    END IF;
    RETURN found_id;
END $$;

-- Spends credits of a user: their own first, then those of their teams. One call, all or nothing; the same key again
-- changes nothing and answers what the first call did. Outcomes: spent, repeated, conflict (the key was used for
-- another amount or user), insufficient, owing (the user's own balance is below zero).
CREATE FUNCTION spend_credits(_account text, _user text, _credits bigint, _key text, _reason text)
RETURNS TABLE (outcome text, available bigint) LANGUAGE plpgsql AS $$
DECLARE
    pool record;
    own bigint := ledger_account_of(_account, 'user', _user);
    counter bigint := ledger_account_of(_account, 'platform', ledger_platform('spent', _user));
    whole text := 'spend:' || _user || ':' || _key;
    spent_before bigint;
    remaining bigint := _credits;
    part integer := 0;
BEGIN
    IF _credits <= 0 THEN
        RAISE EXCEPTION 'credits to spend must be above zero' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- Everything this may touch, in id order, as ledger_move does. Holding the user's own row makes the key ours.
    PERFORM FROM ledger_accounts WHERE id = counter OR id = own OR (account = _account AND owner_kind = 'team'
        AND owner_id IN (SELECT team_id FROM team_members m WHERE (m.account, m.user_id) = (_account, _user)))
    ORDER BY id FOR NO KEY UPDATE;

    SELECT sum(t.amount) INTO spent_before FROM ledger_transfers t WHERE (t.account, t.key) = (_account, whole);
    SELECT CASE WHEN bool_or(a.id = own AND a.balance < 0) THEN min(a.balance) FILTER (WHERE a.id = own)
                ELSE coalesce(sum(greatest(a.balance, 0)), 0)::bigint END
    INTO available
    FROM ledger_accounts a WHERE a.id = own OR (a.account = _account AND a.owner_kind = 'team'
        AND a.owner_id IN (SELECT team_id FROM team_members m WHERE (m.account, m.user_id) = (_account, _user)));

    IF spent_before IS NOT NULL THEN
        outcome := CASE WHEN spent_before = _credits THEN 'repeated' ELSE 'conflict' END;
    ELSIF available < 0 THEN
        outcome := 'owing';
    ELSIF available < _credits THEN
        outcome := 'insufficient';
    ELSE
        FOR pool IN
            SELECT a.id, a.balance FROM ledger_accounts a
            WHERE a.balance > 0 AND (a.id = own OR (a.account = _account AND a.owner_kind = 'team'
                AND a.owner_id IN (SELECT team_id FROM team_members m WHERE (m.account, m.user_id) = (_account, _user))))
            ORDER BY (a.id = own) DESC, a.owner_id
        LOOP
            EXIT WHEN remaining = 0;
            part := part + 1;
            INSERT INTO ledger_transfers (account, key, seq, kind, from_id, to_id, amount, reason)
            VALUES (_account, whole, part, 'spend', pool.id, counter, least(remaining, pool.balance), _reason);
            remaining := remaining - least(remaining, pool.balance);
        END LOOP;
        outcome := 'spent';
        available := available - _credits;
    END IF;
    RETURN NEXT;
END $$;

-- Grants whose time has come, each once, with what was left of it (perhaps nothing).
CREATE TABLE expired_grants (
    account    text        NOT NULL,
    key        text        NOT NULL,
    credits    bigint      NOT NULL,
    expired_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (account, key)
);

-- How far the invariant check has summed up an account; what is older is not read again.
CREATE TABLE ledger_checkpoints (
    ledger_account_id bigint PRIMARY KEY REFERENCES ledger_accounts,
    through_id        bigint NOT NULL,
    balance           bigint NOT NULL
);

-- Where the continuous check is, and the first row it found broken.
CREATE TABLE ledger_check (
    only_row       boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    next_account   bigint      NOT NULL DEFAULT 0,
    next_transfer  bigint      NOT NULL DEFAULT 0,
    rounds         bigint      NOT NULL DEFAULT 0,
    checked_at     timestamptz
);
INSERT INTO ledger_check DEFAULT VALUES;
CREATE TABLE ledger_violations (
    rule       text        NOT NULL,
    subject    text        NOT NULL,
    detail     text        NOT NULL,
    found_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (rule, subject)
);
