-- A ledger with a past: `yardstick.users` users with a balance, a subscription, and `yardstick.rows` transfers among
-- them: a correction that gives each a billion credits, then spends in turn. Everything the check looks at is true.
-- Not as an application would: rows first and indexes after, as a restore does, with the triggers asleep and their work
-- done once for all rows.
SET LOCAL session_replication_role = replica;
SET LOCAL maintenance_work_mem = '256MB';

INSERT INTO users (account, id, state, entitled)
SELECT '', 'user_' || n, 'active', true FROM generate_series(0, current_setting('yardstick.users')::bigint - 1) AS n;
INSERT INTO subscription_states (account, subscription_id, user_id, state, entitled, status)
SELECT account, 'sub_' || id, id, 'active', true, 'active' FROM users;
INSERT INTO ledger_accounts (account, owner_kind, owner_id) SELECT account, 'user', id FROM users;
INSERT INTO ledger_accounts (account, owner_kind, owner_id)
SELECT DISTINCT account, 'platform', ledger_platform(purpose, id) FROM users, unnest(ARRAY['adjusted', 'spent']) AS purpose;

CREATE TEMPORARY TABLE spender ON COMMIT DROP AS
SELECT substr(u.id, 6)::bigint AS n, u.id AS user_id, own.id AS own, adjusted.id AS adjusted, spent.id AS spent
FROM users u
JOIN ledger_accounts own ON (own.account, own.owner_kind, own.owner_id) = ('', 'user', u.id)
JOIN ledger_accounts adjusted
    ON (adjusted.account, adjusted.owner_kind, adjusted.owner_id) = ('', 'platform', ledger_platform('adjusted', u.id))
JOIN ledger_accounts spent
    ON (spent.account, spent.owner_kind, spent.owner_id) = ('', 'platform', ledger_platform('spent', u.id));
ANALYZE spender;

CREATE TEMPORARY TABLE indexes ON COMMIT DROP AS
SELECT format('ALTER TABLE ledger_transfers DROP CONSTRAINT %I', conname) AS goes,
       format('ALTER TABLE ledger_transfers ADD CONSTRAINT %I %s', conname, pg_get_constraintdef(oid)) AS comes
FROM pg_constraint WHERE conrelid = 'ledger_transfers'::regclass AND contype IN ('p', 'u')
UNION ALL
SELECT format('DROP INDEX %s', i.indexrelid::regclass), pg_get_indexdef(i.indexrelid)
FROM pg_index i WHERE i.indrelid = 'ledger_transfers'::regclass
    AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid AND c.conrelid = i.indrelid);
DO $$
DECLARE
    index record;
BEGIN
    FOR index IN SELECT goes FROM indexes LOOP EXECUTE index.goes; END LOOP;
END $$;

INSERT INTO ledger_transfers (account, key, seq, kind, from_id, to_id, amount, user_id, created_at)
SELECT '', CASE WHEN i < users THEN 'adjust:' ELSE 'spend:' END || md5(i::text), 1,
       CASE WHEN i < users THEN 'adjust' ELSE 'spend' END,
       CASE WHEN i < users THEN s.adjusted ELSE s.own END, CASE WHEN i < users THEN s.own ELSE s.spent END,
       CASE WHEN i < users THEN 1000000000 ELSE 1 + i % 5 END, CASE WHEN i >= users THEN s.user_id END,
       now() - (rows - i) * interval '1 second'
FROM (SELECT current_setting('yardstick.users')::bigint AS users, current_setting('yardstick.rows')::bigint AS rows) AS size,
     generate_series(0, current_setting('yardstick.rows')::bigint - 1) AS i
JOIN spender s ON s.n = i % current_setting('yardstick.users')::bigint;

UPDATE ledger_accounts a SET balance = line.credits
FROM (SELECT id, sum(credits) AS credits
      FROM (SELECT to_id AS id, amount AS credits FROM ledger_transfers
            UNION ALL SELECT from_id, -amount FROM ledger_transfers) AS lines
      GROUP BY id) AS line
WHERE a.id = line.id;

DO $$
DECLARE
    index record;
BEGIN
    FOR index IN SELECT comes FROM indexes LOOP EXECUTE index.comes; END LOOP;
END $$;
