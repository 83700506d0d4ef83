-- Why: staff count sales over a time. Row by row the policies would ask who asks, for each of perhaps a million rows; this
-- asks once. The scans are bounded by the time asked about, over the indexes of 0025 to 0032.
-- A running older version sees: nothing.

-- What was sold from `_since` on and before `_until`, by the calendar (UTC) in units of day, week or month. What came
-- back counts where it was sold. A plan is what an invoice of a subscription bills, a package has a price in the
-- catalogue, a top-up is any amount.
CREATE FUNCTION api_sales(_account text, _since timestamptz, _until timestamptz, _unit text)
RETURNS TABLE (begins timestamptz, kind text, currency text, count bigint, gross bigint, refunded bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    WITH sale AS (
        SELECT CASE WHEN i.subscription_id IS NULL THEN 'other' ELSE 'plan' END AS kind, i.currency, i.created,
               i.amount_paid AS paid, 'invoice' AS source, i.id
        FROM invoices i
        WHERE i.account = _account AND i.status = 'paid' AND i.created >= _since AND i.created < _until
          AND i.amount_paid > 0 AND NOT i.deleted
        UNION ALL
        SELECT CASE WHEN s.metadata ->> 'price_id' IS NULL THEN 'topup' ELSE 'package' END, s.currency, s.created,
               s.amount_total, 'session', s.id
        FROM checkout_sessions s
        WHERE s.account = _account AND s.mode = 'payment' AND s.status = 'complete' AND s.payment_status = 'paid'
          AND s.created >= _since AND s.created < _until
        UNION ALL
        SELECT CASE WHEN p.metadata ->> 'price_id' IS NULL THEN 'topup' ELSE 'package' END, p.currency, p.created,
               p.amount_received, 'payment', p.id
        FROM payment_intents p
        WHERE p.account = _account AND p.metadata ->> 'credits_source' = 'payment_intent' AND p.status = 'succeeded'
          AND p.created >= _since AND p.created < _until
          AND NOT EXISTS (SELECT FROM checkout_sessions s WHERE (s.account, s.payment_intent_id) = (p.account, p.id))
    ), told AS (
        -- Nothing comes back before it was sold.
        SELECT coalesce(r.payment_intent_id, c.payment_intent_id) AS payment, r.amount AS by_refund, 0 AS by_charge
        FROM refunds r LEFT JOIN charges c ON (c.account, c.id) = (r.account, r.charge_id)
        WHERE r.account = _account AND r.created >= _since AND r.status NOT IN ('failed', 'canceled')
        UNION ALL
        SELECT c.payment_intent_id, 0, c.amount_refunded FROM charges c
        WHERE c.account = _account AND c.amount_refunded > 0 AND c.created >= _since
    ), given_back AS (
        -- A refund is told of by itself and by its charge; whichever came tells all of it.
        SELECT payment, greatest(sum(by_refund), sum(by_charge)) AS amount
        FROM told WHERE payment IS NOT NULL GROUP BY payment
    ), back AS (
        SELECT source, id, sum(amount) AS amount FROM (
            SELECT 'invoice', l.invoice_id, g.* FROM given_back g
            JOIN invoice_payments l ON (l.account, l.payment_intent_id) = (_account, g.payment)
            UNION SELECT 'invoice', i.id, g.* FROM given_back g
            JOIN invoices i ON (i.account, i.payment_intent_id) = (_account, g.payment)
            UNION SELECT 'invoice', p.invoice_id, g.* FROM given_back g
            JOIN payment_intents p ON (p.account, p.id) = (_account, g.payment)
            UNION SELECT 'session', s.id, g.* FROM given_back g
            JOIN checkout_sessions s ON (s.account, s.payment_intent_id) = (_account, g.payment)
            UNION SELECT 'payment', g.payment, g.* FROM given_back g
        ) AS named (source, id, payment, amount) GROUP BY source, id
    )
    SELECT date_trunc(_unit, created, 'UTC'), kind, coalesce(currency, ''), count(*), coalesce(sum(paid), 0)::bigint,
           coalesce(sum(least(paid, back.amount)) FILTER (WHERE back.amount > 0), 0)::bigint
    FROM sale LEFT JOIN back USING (source, id) WHERE actor_role(_account) = 'admin'
    GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
$$;

-- Subscriptions that began and ended, likewise. One whose first payment never came did neither.
CREATE FUNCTION api_subscriptions(_account text, _since timestamptz, _until timestamptz, _unit text)
RETURNS TABLE (begins timestamptz, began bigint, ended bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT date_trunc(_unit, at, 'UTC'), count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new)
    FROM (
        SELECT s.created AS at, true AS is_new FROM subscriptions s
        WHERE s.account = _account AND s.created >= _since AND s.created < _until
          AND s.status NOT IN ('incomplete', 'incomplete_expired')
        UNION ALL
        SELECT s.ended_at, false FROM subscriptions s
        WHERE s.account = _account AND s.ended_at >= _since AND s.ended_at < _until AND s.status <> 'incomplete_expired'
    ) AS moment
    WHERE actor_role(_account) = 'admin'
    GROUP BY 1 ORDER BY 1
$$;
REVOKE ALL ON FUNCTION api_sales(text, timestamptz, timestamptz, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION api_subscriptions(text, timestamptz, timestamptz, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api_sales(text, timestamptz, timestamptz, text),
    api_subscriptions(text, timestamptz, timestamptz, text) TO tollgate_api;
