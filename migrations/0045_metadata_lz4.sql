-- Why: metadata and descriptions are the only columns beside bodies that grow beyond what a page should hold, and pglz,
-- Postgres's default, took more of its CPU to compress them than lz4 takes for whole bodies.
-- A running older version sees: nothing. What is stored stays as it is until it is written again.
-- Only the catalogue changes, no row is touched. A Postgres built without lz4 keeps the default.
DO $$
DECLARE
    it text;
BEGIN
    FOREACH it IN ARRAY ARRAY['charges', 'checkout_sessions', 'customers', 'disputes', 'invoices', 'payment_intents',
                              'prices', 'products', 'refunds', 'subscriptions'] LOOP
        EXECUTE format('ALTER TABLE %I ALTER COLUMN metadata SET COMPRESSION lz4', it);
    END LOOP;
    ALTER TABLE products ALTER COLUMN description SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported OR invalid_parameter_value THEN
    NULL;
END $$;
