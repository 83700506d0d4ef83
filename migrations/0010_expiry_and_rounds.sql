-- What had been used of a grant when it expired is kept: a refund that comes later takes back what is left of that, and
-- not what is gone already. Nothing has written to this table before.
DROP TABLE expired_grants;
CREATE TABLE expired_grants (
    account           text        NOT NULL,
    key               text        NOT NULL,         -- the grant's
    ledger_account_id bigint      NOT NULL,         -- whose
    used              bigint      NOT NULL,
    credits           bigint      NOT NULL,
    expired_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (account, key, ledger_account_id)
);

-- Rounds are named by the number of the one under way, so that a violation says in which round it was found.
ALTER TABLE ledger_check DROP COLUMN rounds;
ALTER TABLE ledger_check ADD COLUMN round bigint NOT NULL DEFAULT 1;
