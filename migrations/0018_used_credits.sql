-- Why: people want to see what they have used this month, and what they paid without ever having been a customer.
-- A running older version sees: nothing; its queries find what they found, and sometimes more of it.

-- What a user used within a time: spent, less what came back of reservations. Of whose credits it was does not matter.
-- Row by row the policies would ask for both ends of each transfer; this asks once who asks.
CREATE FUNCTION api_used(_account text, _user text, _since timestamptz, _until timestamptz) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT greatest(coalesce(sum(CASE kind WHEN 'release' THEN -amount ELSE amount END), 0), 0)::bigint
    FROM ledger_transfers
    WHERE actor_may_act_for(_account, _user) AND account = _account AND user_id = _user
      AND created_at >= _since AND created_at < _until
$$;
REVOKE ALL ON FUNCTION api_used(text, text, timestamptz, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api_used(text, text, timestamptz, timestamptz) TO tollgate_api;

-- What a price gives now: a file's word before Stripe's, an event's before what another object carried along, and of each
-- the last one, else the first to come. As free credits find it.
CREATE FUNCTION api_terms(_account text, _price text) RETURNS TABLE (credits bigint, free_monthly bigint)
LANGUAGE sql STABLE AS $$
    SELECT p.credits, p.free_monthly FROM price_terms p WHERE (p.account, p.price_id) = (_account, _price)
    ORDER BY origin = 'file' DESC, since <= now() DESC, origin = 'event' DESC,
             CASE WHEN since <= now() THEN since END DESC NULLS LAST, since
    LIMIT 1
$$;

-- A checkout without a customer names its user itself; so do the payment it made, and that payment's charges.
ALTER POLICY api ON payment_intents USING (actor_sees_all(account)
    OR EXISTS (SELECT FROM customer_users m
               WHERE (m.account, m.customer_id) = (payment_intents.account, payment_intents.customer_id)
                 AND actor_is(m.account, m.user_id))
    OR EXISTS (SELECT FROM checkout_sessions s
               WHERE (s.account, s.payment_intent_id) = (payment_intents.account, payment_intents.id)
                 AND actor_is(s.account, s.user_id)));
ALTER POLICY api ON charges USING (actor_sees_all(account)
    OR EXISTS (SELECT FROM customer_users m
               WHERE (m.account, m.customer_id) = (charges.account, charges.customer_id)
                 AND actor_is(m.account, m.user_id))
    OR EXISTS (SELECT FROM checkout_sessions s
               WHERE (s.account, s.payment_intent_id) = (charges.account, charges.payment_intent_id)
                 AND actor_is(s.account, s.user_id)));
