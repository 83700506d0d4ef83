//! The settings of commands that compare what is here with what Stripe has: those of a worker that reconciles, and a key.

use shared::config::{Common, Reader};
use worker::reconcile::settings::ReconcileSettings;

/// What they need.
pub(crate) struct Settings {
    pub(crate) common: Common,
    pub(crate) database_url: String,
    pub(crate) stripe: Option<worker::reconcile::StripeSettings>,
    pub(crate) reconcile: ReconcileSettings,
}

impl Settings {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        let settings = Self {
            common: Common::read(reader),
            database_url: worker::config::database_url(reader),
            stripe: worker::reconcile::read_stripe(reader),
            reconcile: ReconcileSettings::read(reader),
        };
        if settings.stripe.is_none() {
            reader.problem("STRIPE_API_KEY: required here");
        }
        settings
    }
}
