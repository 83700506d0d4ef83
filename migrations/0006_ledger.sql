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
-- What is outstanding: the other side of all users and teams, a few rows instead of all of theirs.
CREATE INDEX ledger_accounts_platform ON ledger_accounts (account) WHERE owner_kind = 'platform';

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
    user_id     text,                               -- who spent it; a team's credits are spent by its members
    reason      text,
    expires_at  timestamptz,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (account, key, seq),                     -- one effect per business key, whatever the program does
    CHECK (from_id <> to_id),
    CHECK ((kind = 'spend') = (user_id IS NOT NULL)),
    CHECK ((kind IN ('grant', 'topup', 'refund', 'dispute')) = (source_id IS NOT NULL))
);
CREATE INDEX ledger_transfers_source ON ledger_transfers (account, source_kind, source_id)
    WHERE source_id IS NOT NULL;
-- History and sums of one account.
CREATE INDEX ledger_transfers_to ON ledger_transfers (to_id, id);
CREATE INDEX ledger_transfers_from ON ledger_transfers (from_id, id);
CREATE INDEX ledger_transfers_expiring ON ledger_transfers (expires_at) WHERE expires_at IS NOT NULL;

-- Moves balances for the rows of one statement. Accounts are locked in id order, so two statements never deadlock.
-- Where `tollgate.credits_low` is set (by a role's connections, or for the database), a balance that falls to it or
-- below is told in the outbox, once for each fall.
CREATE FUNCTION ledger_move() RETURNS trigger LANGUAGE plpgsql
-- Its plans are kept, and were perhaps made while the table was empty: never one that reads all of it.
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
              WHEN 'spend' THEN ARRAY['spent'] WHEN 'expire' THEN ARRAY['expired'] WHEN 'adjust' THEN ARRAY['adjusted']
              WHEN 'dispute' THEN ARRAY['issued', 'held'] ELSE ARRAY['issued'] END)
       OR (t.kind = 'spend' AND f.owner_kind = 'platform')
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
           user_id, reason, expires_at, created_at
    FROM ledger_transfers
    UNION ALL
    SELECT id, account, from_id, -amount, key, seq, kind, source_kind, source_id, user_id, reason, expires_at, created_at
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

-- Spends credits of a user: their own first, then those of their teams by name. One call, all or nothing; the same
-- key again changes nothing and answers what the first call did. Outcomes: spent, repeated, conflict (the key was used
-- for another amount or user), insufficient, owing (the user's own balance is below zero). `available` is what the user
-- can spend afterwards, or owes.
CREATE FUNCTION spend_credits(_account text, _user text, _credits bigint, _key text, _reason text)
RETURNS TABLE (outcome text, available bigint) LANGUAGE plpgsql
SET enable_seqscan = off AS $$
DECLARE
    whole text := 'spend:' || _key;
    before record;
    counter bigint;
    own bigint;
    pools bigint[];
    owes boolean;
BEGIN
    -- NULL is none of these.
    IF (_credits > 0 AND _user <> '' AND _key <> '') IS NOT TRUE THEN
        RAISE EXCEPTION 'spending takes a user, a key, and credits above zero' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- Calls with one key take turns, whoever they are for.
    PERFORM pg_advisory_xact_lock(hashtextextended('spend:' || _account || ':' || _key, 0));
    SELECT sum(t.amount)::bigint AS credits, bool_and(t.user_id = _user) AS same_user INTO before
    FROM ledger_transfers t WHERE (t.account, t.key) = (_account, whole);

    -- Whose credits these are is decided here, once.
    own := (SELECT a.id FROM ledger_accounts a WHERE (a.account, a.owner_kind, a.owner_id) = (_account, 'user', _user));
    pools := ARRAY(
        SELECT a.id FROM team_members m
        JOIN ledger_accounts a ON (a.account, a.owner_kind, a.owner_id) = (m.account, 'team', m.team_id)
        WHERE (m.account, m.user_id) = (_account, _user));
    pools := array_remove(own || pools, NULL);
    IF before.credits IS NULL AND pools <> '{}' THEN
        counter := ledger_account_of(_account, 'platform', ledger_platform('spent', _user));
        -- Everything this may touch, in id order, as in ledger_move.
        PERFORM FROM ledger_accounts a WHERE a.id = ANY (counter || pools) ORDER BY a.id FOR NO KEY UPDATE;
    END IF;
    SELECT coalesce(bool_or(a.id = own AND a.balance < 0), false),
           coalesce(CASE WHEN bool_or(a.id = own AND a.balance < 0) THEN min(a.balance) FILTER (WHERE a.id = own)
                         ELSE sum(greatest(a.balance, 0)) END, 0)::bigint
    INTO owes, available
    FROM ledger_accounts a WHERE a.id = ANY (pools);

    IF before.credits IS NOT NULL THEN
        outcome := CASE WHEN before.credits = _credits AND before.same_user THEN 'repeated' ELSE 'conflict' END;
    ELSIF owes THEN
        outcome := 'owing';
    ELSIF available < _credits THEN
        outcome := 'insufficient';
    ELSE
        INSERT INTO ledger_transfers (account, key, seq, kind, from_id, to_id, amount, user_id, reason)
        SELECT _account, whole, row_number() OVER (ORDER BY pool.before), 'spend', pool.id, counter,
               least(pool.balance, _credits - pool.before), _user, _reason
        FROM (SELECT a.id, a.balance, sum(a.balance) OVER (
                         ORDER BY (a.id = own) IS TRUE DESC, a.owner_id ROWS UNBOUNDED PRECEDING)::bigint - a.balance AS before
              FROM ledger_accounts a WHERE a.id = ANY (pools) AND a.balance > 0) AS pool
        WHERE pool.before < _credits;
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

-- How far the invariant check has summed up an account; what is older is not read again. Without a foreign key: it
-- would lock rows that everybody moves.
CREATE TABLE ledger_checkpoints (
    ledger_account_id bigint PRIMARY KEY,
    through_id        bigint NOT NULL,
    balance           bigint NOT NULL
);

-- Where the continuous check is. One worker at a time holds the row while it takes a step.
CREATE TABLE ledger_check (
    only_row       boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    stage          text        NOT NULL DEFAULT 'accounts' CHECK (stage IN ('accounts', 'transfers', 'sources', 'sum')),
    next_account   bigint      NOT NULL DEFAULT 0,  -- rows above these are next
    next_transfer  bigint      NOT NULL DEFAULT 0,
    next_source    text[]      NOT NULL DEFAULT '{"","",""}',
    -- Ids are not committed in their order. No transfer up to settled_id is uncommitted any more: it was
    -- candidate_id, and every transaction before candidate_xid has ended since.
    settled_id     bigint      NOT NULL DEFAULT 0,
    candidate_id   bigint      NOT NULL DEFAULT 0,
    candidate_xid  xid8        NOT NULL DEFAULT '0',
    rounds         bigint      NOT NULL DEFAULT 0,  -- completed ones
    begun_at       timestamptz NOT NULL DEFAULT clock_timestamp(), -- the round that is under way
    checked_at     timestamptz                      -- when the last round was completed
);
INSERT INTO ledger_check DEFAULT VALUES;

-- What is broken now. Removed by the round that finds it true again.
CREATE TABLE ledger_violations (
    rule       text        NOT NULL,
    subject    text        NOT NULL,                -- the first row that breaks it
    detail     text        NOT NULL,
    round      bigint      NOT NULL,                -- in which it was seen last
    found_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (rule, subject)
);
