-- Why: what the rest of the world should hear is written with the change itself, once, and delivered later.
-- A running older version sees: nothing, the table is new.

CREATE TABLE outbox (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account      text        NOT NULL,
    key          text        NOT NULL,              -- names the change; twins and repetitions have the same
    type         text        NOT NULL,              -- subscription.activated, credits.granted, ...
    subject_kind text        NOT NULL,
    subject_id   text        NOT NULL,
    user_id      text,
    data         jsonb       NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (account, key)
);
CREATE INDEX outbox_subject ON outbox (account, subject_kind, subject_id);
