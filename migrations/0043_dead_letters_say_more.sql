-- Why: whoever helps a customer asks what was set aside of theirs, also among a million letters; what a letter's event says
-- of its customer is only in its body, so it is kept beside it. And so is the trace it came with: running it again points
-- there.
-- A running older version sees: columns it does not write; what it sets aside meanwhile is found by everything but its
-- customer.
ALTER TABLE parked_events
    ADD COLUMN customer_id text,                    -- whose object the event is about, when it says so
    ADD COLUMN traceparent text;                    -- of the message that brought it, when it was traced

-- Only what still waits for somebody. A body that is no JSON to Postgres names nobody.
CREATE FUNCTION pg_temp.customer_of(body text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    object json;
BEGIN
    object := body::json #> '{data,object}';
    RETURN CASE WHEN object ->> 'object' = 'customer' THEN object ->> 'id'
                WHEN json_typeof(object -> 'customer') = 'object' THEN object -> 'customer' ->> 'id'
                WHEN json_typeof(object -> 'customer') = 'string' THEN object ->> 'customer' END;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END $$;
UPDATE parked_events p SET customer_id = pg_temp.customer_of(e.body)
FROM events e
WHERE (e.account, e.id) = (p.account, p.event_id) AND p.entry IS NULL AND p.state <> 'replayed';
