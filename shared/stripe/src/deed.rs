//! What is asked of Stripe to be done, word for word.

use stripe_client_core::{IdempotencyKey, RequestBuilder, StripeMethod};

use crate::error::FetchError;
use crate::object::{Endpoint, escaped, is_id};
use crate::request::Request;

/// A kind of change we make at Stripe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Deed {
    /// `POST /v1/customers`
    CreateCustomer,
    /// `POST /v1/checkout/sessions`
    CreateCheckoutSession,
    /// `POST /v1/checkout/sessions/<id>/expire`
    ExpireCheckoutSession,
    /// `POST /v1/payment_intents`
    CreatePaymentIntent,
    /// `POST /v1/refunds`
    CreateRefund,
    /// `POST /v1/billing_portal/sessions`
    CreatePortalSession,
    /// `POST /v1/subscriptions/<id>`
    UpdateSubscription,
}

impl Deed {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::CreateCustomer,
        Self::CreateCheckoutSession,
        Self::ExpireCheckoutSession,
        Self::CreatePaymentIntent,
        Self::CreateRefund,
        Self::CreatePortalSession,
        Self::UpdateSubscription,
    ];

    /// The label `kind` of metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CreateCustomer => "create_customer",
            Self::CreateCheckoutSession => "create_checkout_session",
            Self::ExpireCheckoutSession => "expire_checkout_session",
            Self::CreatePaymentIntent => "create_payment_intent",
            Self::CreateRefund => "create_refund",
            Self::CreatePortalSession => "create_portal_session",
            Self::UpdateSubscription => "update_subscription",
        }
    }

    /// Where it is asked for, below `/v1`. `id` names the object that is changed, where there is one.
    fn path(self, id: &str) -> String {
        match self {
            Self::CreateCustomer => "/customers".to_owned(),
            Self::CreateCheckoutSession => "/checkout/sessions".to_owned(),
            Self::ExpireCheckoutSession => format!("/checkout/sessions/{}/expire", escaped(id)),
            Self::CreatePaymentIntent => "/payment_intents".to_owned(),
            Self::CreateRefund => "/refunds".to_owned(),
            Self::CreatePortalSession => "/billing_portal/sessions".to_owned(),
            Self::UpdateSubscription => format!("/subscriptions/{}", escaped(id)),
        }
    }

    fn names_an_object(self) -> bool {
        matches!(self, Self::ExpireCheckoutSession | Self::UpdateSubscription)
    }
}

/// A change, as it is sent: whoever repeats it has to repeat every byte, or Stripe refuses the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// What kind of change.
    pub deed: Deed,
    /// The object that is changed; empty where one is made.
    pub id: String,
    /// The parameters, form-encoded.
    pub form: String,
}

impl Write {
    /// Fit to be sent under a key.
    ///
    /// # Errors
    /// [`FetchError::Permanent`] for an id, account or key that cannot be one.
    pub(crate) fn request(&self, account: Option<&str>, key: &str) -> Result<Request, FetchError> {
        if self.deed.names_an_object() != is_id(&self.id) {
            return Err(FetchError::unusable("not an id"));
        }
        let key = IdempotencyKey::new(key).map_err(|_| FetchError::unusable("not an idempotency key"))?;
        let builder = RequestBuilder {
            body: Some(self.form.clone()),
            ..RequestBuilder::new(StripeMethod::Post, self.deed.path(&self.id))
        };
        let request = Request::v1(builder, account)?;
        request.at(Endpoint::Write(self.deed)).idempotent(key)
    }
}
