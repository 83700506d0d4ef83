//! The client under the budget: what roles use.

use std::time::Duration;

use bytes::Bytes;
use stripe_client_core::{CustomizedStripeRequest, StripeClient};

use crate::budget::{Budget, Pause, Priority};
use crate::client::{Client, noise};
use crate::deed::Write;
use crate::error::{Detail, FetchError, Limit};
use crate::fetched::{Fetched, Listed};
use crate::object::{ObjectRef, Retrievable};
use crate::request::{Parent, PaymentsOf, Request};
use crate::telemetry;
use crate::write_error::WriteError;

/// Pause after a 429 that does not say how long. Stripe counts by the second.
pub const PAUSE_DEFAULT: Duration = Duration::from_secs(1);

/// Asks Stripe when the budget of the fleet allows it, and lets the fleet pause when Stripe asks for it.
#[derive(Debug, Clone)]
pub struct Budgeted {
    client: Client,
    budget: Budget,
    priority: Priority,
    patience: Duration,
}

impl Budgeted {
    /// Puts `client` under `budget`. An attempt waits for its turn at most for `patience`; after that it fails
    /// with [`FetchError::RateLimited`] of [`Limit::Budget`], and Stripe is not asked.
    #[must_use]
    pub fn new(client: Client, budget: Budget, priority: Priority, patience: Duration) -> Self {
        Self {
            client,
            budget,
            priority,
            patience,
        }
    }

    /// The same client and budget for other work.
    #[must_use]
    pub fn with(&self, priority: Priority, patience: Duration) -> Self {
        Self::new(self.client.clone(), self.budget.clone(), priority, patience)
    }

    /// As [`Client::retrieve`].
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn retrieve(&self, what: &ObjectRef) -> Result<Fetched, FetchError> {
        self.ask(&Request::retrieve(what)?).await
    }

    /// As [`Client::retrieve_path`].
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn retrieve_path(&self, account: Option<&str>, path: &str) -> Result<Fetched, FetchError> {
        self.ask(&Request::path(account, path)?).await
    }

    /// As [`Client::list_invoice_payments`].
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn list_invoice_payments(
        &self,
        account: Option<&str>,
        of: &PaymentsOf,
        after: Option<&str>,
    ) -> Result<Listed, FetchError> {
        let request = Request::invoice_payments(account, of, after)?;
        self.ask(&request).await?.try_into()
    }

    /// Lists one page of a parent's objects of a kind, from behind `after` on.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn list(
        &self,
        account: Option<&str>,
        kind: Retrievable,
        parent: &Parent,
        after: Option<&str>,
    ) -> Result<Listed, FetchError> {
        let request = Request::list(account, kind, parent, after)?;
        self.ask(&request).await?.try_into()
    }

    /// Lists one page of an invoice's lines, from behind `after` on.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn list_invoice_lines(
        &self,
        account: Option<&str>,
        invoice: &str,
        after: Option<&str>,
    ) -> Result<Listed, FetchError> {
        let request = Request::invoice_lines(account, invoice, after)?;
        self.ask(&request).await?.try_into()
    }

    /// Carries out a request, each attempt with a turn of its own.
    ///
    /// # Errors
    /// [`FetchError`] of the last attempt.
    pub async fn ask(&self, request: &Request) -> Result<Fetched, FetchError> {
        let mut tried = 1;
        loop {
            self.granted(request).await?;
            let error = match self.client.attempt(request, tried).await {
                Ok(fetched) => return Ok(fetched),
                Err(error) => error,
            };
            self.obey(request, &error).await;
            match request.again_after(tried, &error, noise()) {
                Some(wait) => {
                    telemetry::retries();
                    tokio::time::sleep(wait).await;
                }
                None => return Err(error),
            }
            tried += 1;
        }
    }

    /// Asks for a change under an idempotency key: however often, Stripe makes it once.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn write(
        &self,
        account: Option<&str>,
        write: &Write,
        key: &str,
    ) -> Result<Fetched, WriteError> {
        // Nothing was sent.
        let request = write
            .request(account, key)
            .map_err(|error| WriteError::Refused(error.detail().clone()))?;
        Ok(self.ask(&request).await?)
    }

    async fn granted(&self, request: &Request) -> Result<(), FetchError> {
        let _waiting = shared::trace::step(shared::trace::Kind::Internal, "budget");
        let turn = self.budget.acquire(
            request.account(),
            request.endpoint(),
            self.priority,
            self.patience,
        );
        turn.await.map_err(|wait| FetchError::RateLimited {
            retry_after: Some(wait),
            limit: Limit::Budget,
            detail: Detail::of("the budget for Stripe's API is used up, paused, or out of reach"),
        })
    }

    /// What Stripe asks of one replica holds for all.
    async fn obey(&self, request: &Request, error: &FetchError) {
        let Some((what, length)) = pause_after(request, error) else {
            return;
        };
        tracing::info!(
            account = request.account(),
            kind = request.endpoint().as_str(),
            seconds = length.as_secs(),
            %error,
            "pausing requests to Stripe"
        );
        self.budget.pause(request.account(), what, length).await;
    }
}

impl StripeClient for Budgeted {
    type Err = FetchError;

    async fn execute(&self, request: CustomizedStripeRequest) -> Result<Bytes, FetchError> {
        Ok(self.ask(&request.try_into()?).await?.body)
    }
}

/// Who has to wait after an error, and for how long. A limit or a lock of one object is no reason to keep
/// others waiting; a failing endpoint that names a time is.
fn pause_after(request: &Request, error: &FetchError) -> Option<(Pause, Duration)> {
    let endpoint = Pause::Endpoint(request.endpoint());
    match error {
        FetchError::RateLimited {
            retry_after, limit, ..
        } => {
            let what = match limit {
                Limit::Account => Pause::Account,
                Limit::Endpoint => endpoint,
                Limit::Object | Limit::Budget => return None,
            };
            Some((what, retry_after.unwrap_or(PAUSE_DEFAULT)))
        }
        FetchError::Transient {
            retry_after: Some(length),
            detail,
        } if detail.status.is_some_and(|status| status >= 500) => Some((endpoint, *length)),
        FetchError::Transient { .. }
        | FetchError::Gone(_)
        | FetchError::Refused(_)
        | FetchError::Permanent(_) => None,
    }
}
