-- Why: one row per Stripe object. It says which snapshot stands, and locking it is how two workers with
-- events of one object take turns: rows of a batch are locked here, in key order, before anything is written.
-- A running older version sees: nothing, the table is new.

CREATE TABLE objects (
    account  text NOT NULL,
    kind     text NOT NULL,
    id       text NOT NULL,
    -- The event whose snapshot stands; absent between making the row and deciding, never after commit.
    created  timestamptz,
    event_id text,
    terminal boolean NOT NULL DEFAULT false, -- nothing but another terminal snapshot can follow
    PRIMARY KEY (account, kind, id)
)
-- Every event of an object updates its row; room on the page keeps those updates off the index.
WITH (fillfactor = 70);
