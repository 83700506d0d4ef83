//! What handlers work with.

use std::sync::Arc;

use domain::Policy;
use shared::limiter::Limiter;
use shared::state_cache::StateCache;
use store::Store;
use store::api::{Actor, ActorRole};

use crate::auth::Keys;
use crate::capacity::Capacity;
use crate::sales::Sales;
use crate::stripe::Stripe;
use crate::switch::Switches;

/// Cheap to clone; all clones are one.
#[derive(Clone)]
pub(crate) struct App(Arc<Parts>);

pub(crate) struct Parts {
    pub store: Store,
    pub cache: StateCache,
    pub limiter: Limiter,
    pub keys: Keys,
    pub switches: Switches,
    pub capacity: Capacity,
    pub stripe: Stripe,
    pub sales: Sales,
    pub policy: Policy,
    pub account: String,
}

impl App {
    pub(crate) fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// Who does what nobody asked for just now.
    pub(crate) fn ourselves(&self) -> Actor {
        Actor {
            account: self.account.clone(),
            role: ActorRole::Service,
            subject: "tollgate".to_owned(),
        }
    }
}

impl std::ops::Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}
