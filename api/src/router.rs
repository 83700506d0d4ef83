//! Every route, and what stands before it.

use axum::extract::Request;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use axum::{Extension, Router};
use std::sync::Arc;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::caller::authenticate;
use crate::docs::{self, Documents};
use crate::idempotency::once;
use crate::observe::observe;
use crate::problem::{Kind, Problem};
use crate::routes::{
    admin, analytics, billing, checkout, corrections, coverage, credits, deads, events, failures, payments,
    portal, refunds, reservations, resyncs, state, subscription, switches, teams,
};
use crate::throttle::throttle;
use crate::trace::traced;

/// Everything that needs a token.
fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(docs::frame())
        .routes(routes!(state::subscription_state))
        .routes(routes!(billing::billing))
        .routes(routes!(billing::invoices))
        .routes(routes!(billing::transactions))
        .routes(routes!(credits::credits))
        .routes(routes!(credits::credit_history))
        .routes(routes!(credits::spend))
        .routes(routes!(reservations::reserve))
        .routes(routes!(reservations::reservation))
        .routes(routes!(reservations::commit))
        .routes(routes!(reservations::release))
        .routes(routes!(teams::team))
        .routes(routes!(teams::team_history))
        .routes(routes!(teams::set_member))
        .routes(routes!(admin::users))
        .routes(routes!(admin::user))
        .routes(routes!(admin::user_ledger))
        .routes(routes!(admin::user_events))
        .routes(routes!(admin::adjust))
        .routes(routes!(admin::audit_log))
        .routes(routes!(events::events))
        .routes(routes!(events::event))
        .routes(routes!(deads::letters))
        .routes(routes!(deads::groups))
        .routes(routes!(deads::replay))
        .routes(routes!(deads::discard))
        .routes(routes!(deads::job))
        .routes(routes!(corrections::corrections, corrections::correct_plan))
        .routes(routes!(corrections::withdraw_correction))
        .routes(routes!(resyncs::begin_resync))
        .routes(routes!(resyncs::resync))
        .routes(routes!(coverage::coverage))
        .routes(routes!(coverage::holes))
        .routes(routes!(coverage::differences))
        .routes(routes!(failures::payment_failures))
        .routes(routes!(analytics::purchases))
        .routes(routes!(analytics::subscriptions))
        .routes(routes!(analytics::platform))
        .routes(routes!(checkout::begin_checkout))
        .routes(routes!(checkout::checkout_session))
        .routes(routes!(payments::begin_payment))
        .routes(routes!(payments::payment))
        .routes(routes!(refunds::refund))
        .routes(routes!(portal::open_portal))
        .routes(routes!(subscription::change_plan))
        .routes(routes!(subscription::cancel))
        .routes(routes!(subscription::resume))
        .routes(routes!(switches::billing, switches::switch_billing))
}

/// What the API is, for machines.
#[must_use]
pub fn openapi() -> OpenApi {
    docs::complete(routes().into_openapi())
}

/// The whole service. Layers added last come first.
pub(crate) fn router(app: App) -> Router {
    let (routes, _) = routes().split_for_parts();
    let documents = Arc::new(Documents::of(&openapi()));
    routes
        .route_layer(from_fn_with_state(app.clone(), once))
        .route_layer(from_fn_with_state(app.clone(), throttle))
        .route_layer(from_fn(traced))
        .route_layer(from_fn_with_state(app.clone(), authenticate))
        .route("/openapi.json", get(docs::openapi_json))
        .route("/docs", get(docs::page))
        .layer(Extension(documents))
        .method_not_allowed_fallback(async || Problem::from(Kind::METHOD))
        .fallback(async |_: Request| Problem::from(Kind::NOT_FOUND))
        .layer(from_fn(observe))
        .with_state(app)
}
