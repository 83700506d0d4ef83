//! Features that staff have taken off.

use std::time::Duration;

use store::Store;
use store::api::Feature;

use crate::memo::Memo;
use crate::problem::{Kind, Problem};

/// How long an answer is believed: longest until a switch is seen everywhere.
const BELIEVED_FOR: Duration = Duration::from_secs(1);

/// Remembers for a moment what Postgres says.
pub(crate) struct Switches {
    store: Store,
    account: String,
    billing: Memo<bool>,
}

impl Switches {
    pub(crate) fn new(store: Store, account: &str) -> Self {
        Self {
            store,
            account: account.to_owned(),
            billing: Memo::new(BELIEVED_FOR),
        }
    }

    /// Whether anything can be bought.
    pub(crate) async fn billing(&self) -> Result<bool, Problem> {
        let ask = async || self.store.is_on(&self.account, Feature::Billing).await;
        Ok(self.billing.get(ask).await?)
    }

    /// Lets nobody buy while billing is off.
    pub(crate) async fn require_billing(&self) -> Result<(), Problem> {
        if self.billing().await? {
            return Ok(());
        }
        Err(Kind::SWITCHED_OFF.because("billing is switched off; nothing can be bought until it is back"))
    }
}
