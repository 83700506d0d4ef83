//! Stripe's customer portal.

use axum::extract::State;
use axum::{Extension, Json};
use serde::Serialize;
use serde_json::json;
use store::api::IntentKind;
use stripe_api::{CreatePortalSession, Write};
use utoipa::ToSchema;

use crate::app::App;
use crate::buying::customer_if_any;
use crate::caller::Caller;
use crate::extract::Path;
use crate::idempotency::IdempotencyKey;
use crate::intents::{Plan, Written, intend, settle};
use crate::problem::{Kind, Problem};

/// A session of the portal.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PortalSession {
    /// Where to send the browser, soon: it lets in whoever has it.
    pub url: Option<String>,
}

/// Opens the customer portal: means of payment, invoices, another plan, an end
#[utoipa::path(
    post, path = "/v1/users/{user}/portal-sessions", tag = "buying",
    params(("user" = String, Path, description = "The user's id, or `me`")),
    responses(
        (status = OK, body = PortalSession),
        (status = CONFLICT, body = Problem, content_type = "application/problem+json",
            description = "`no_customer`: this user has bought nothing; or the same request is being carried out"),
        (status = BAD_GATEWAY, body = Problem, content_type = "application/problem+json",
            description = "`stripe_refused`: nothing was done"),
    )
)]
pub(crate) async fn open_portal(
    State(app): State<App>,
    caller: Caller,
    Extension(key): Extension<IdempotencyKey>,
    Path(user): Path<String>,
) -> Result<Json<PortalSession>, Problem> {
    let user = caller.user(&user)?;
    app.stripe.require()?;
    app.switches.require_billing().await?;
    let return_url = app.sales.portal_return_url()?;
    let purpose = key.of(&caller.0);
    let mut tx = app.store.begin_as(&caller.0).await?;
    tx.lock_buyer(user).await?;
    let begun = tx.intent_for(IntentKind::Portal, &purpose).await?;
    let intent = match begun {
        Some(begun) if begun.user == user => Written::Before(begun.id),
        Some(_) => return Err(Kind::KEY_REUSED.because("this key has opened the portal for another user")),
        None => {
            let customer = customer_if_any(&mut tx, user).await?;
            let customer =
                customer.ok_or_else(|| Kind::NO_CUSTOMER.because("this user has bought nothing yet"))?;
            let plan = Plan {
                kind: IntentKind::Portal,
                user,
                purpose: &purpose,
                wish: &json!({}),
            };
            let write = |_: &str| {
                Ok(Write::from(&CreatePortalSession {
                    customer: &customer,
                    return_url,
                }))
            };
            intend(&mut tx, &plan, write).await?
        }
    };
    tx.commit().await?;
    let done = settle(&app, &caller.0, intent).await?;
    Ok(Json(PortalSession {
        url: done.answer["url"].as_str().map(str::to_owned),
    }))
}
