-- Why: a subscription is changed through the API, and that is written down like everything that is asked of Stripe.
-- A running older version sees: intents of kinds it does not know, which it cannot finish; a newer one does.
ALTER TABLE stripe_intents DROP CONSTRAINT stripe_intents_kind_check;
ALTER TABLE stripe_intents ADD CONSTRAINT stripe_intents_kind_check CHECK (kind IN
    ('customer', 'subscribe', 'buy', 'expire', 'payment', 'refund', 'portal', 'change', 'cancel', 'resume')) NOT VALID;
