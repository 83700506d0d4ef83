-- Why: what a price costs and grants, as it was at any time. Invoices since 2025-03-31.basil only carry the price's
-- id, and an edit of a price's credits must not reach back to what was paid before.
-- A running older version sees: nothing, the table is new.

CREATE TABLE price_terms (
    account      text        NOT NULL,
    price_id     text        NOT NULL,
    origin       text        NOT NULL CHECK (origin IN ('file', 'event', 'embedded')),
    since        timestamptz NOT NULL,              -- '-infinity' for the first terms of a file
    credits      bigint      NOT NULL CHECK (credits >= 0),
    free_monthly bigint      NOT NULL DEFAULT 0 CHECK (free_monthly >= 0),
    expire_days  integer     CHECK (expire_days > 0), -- how long granted credits last; NULL: for ever
    unit_amount  bigint,                            -- minor units; NULL for fractions of them
    currency     text,
    PRIMARY KEY (account, price_id, origin, since)
);

-- The file a person checked in: what may be sold, by names of our own. Replaced as a whole.
CREATE TABLE catalog_offers (
    account    text   NOT NULL,
    name       text   NOT NULL,                     -- what clients ask for; never a price id
    kind       text   NOT NULL CHECK (kind IN ('plan', 'package')),
    price_id   text   NOT NULL,
    product_id text,
    credits    bigint NOT NULL,
    active     boolean NOT NULL,
    definition jsonb  NOT NULL,                     -- the whole entry, as in the file
    PRIMARY KEY (account, name)
);
