//! Stripe, as far as this installation may ask it.

use std::time::Duration;

use shared::clock::Clock;
use shared::config::Common;
use stripe_api::{Budget, Budgeted, Client, Priority, Settings};

use crate::problem::{Kind, Problem};
use crate::server::ApiError;

/// How long one attempt may take: somebody waits for it.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(6);
/// Longest wait for a turn under the fleet's budget.
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks Stripe, when there is a key.
pub(crate) struct Stripe(Option<Budgeted>);

impl Stripe {
    pub(crate) fn new(settings: Option<Settings>, common: &Common) -> Result<Self, ApiError> {
        let Some(settings) = settings else {
            tracing::info!("no STRIPE_API_KEY: nothing can be bought through this API");
            return Ok(Self(None));
        };
        let settings = Settings {
            timeout: ATTEMPT_TIMEOUT,
            ..settings
        };
        let client = Client::new(settings, Clock::system())?;
        let budget = Budget::new(&common.redis_url, &common.redis_prefix, client.mode())?;
        Ok(Self(Some(Budgeted::new(
            client,
            budget,
            Priority::Live,
            PATIENCE,
        ))))
    }

    /// Whether there is a key.
    pub(crate) fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// Stripe, or why not.
    pub(crate) fn require(&self) -> Result<&Budgeted, Problem> {
        self.0
            .as_ref()
            .ok_or_else(|| Kind::NOT_CONFIGURED.because("STRIPE_API_KEY is not set"))
    }
}
