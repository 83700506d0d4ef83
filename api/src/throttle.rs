//! How often a caller may ask, fleet-wide.

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use shared::limiter::Rate;
use shared::trace::{self, Kind as SpanKind};

use crate::app::App;
use crate::caller::Caller;
use crate::meters::THROTTLED;
use crate::problem::{Kind, Problem};
use store::api::ActorRole;

/// Reading, for each user and route.
const READS: Rate = Rate::per_minute(600);
/// Changing something, for each user and route.
const WRITES: Rate = Rate::per_minute(60);
/// Starting to pay, for each user.
const CHECKOUTS: Rate = Rate::per_minute(5);

/// Refuses who asks too often. The application and its staff are not counted where they read or spend for their users:
/// they are our own, and a user's rate is theirs to hold.
pub(crate) async fn throttle(
    State(app): State<App>,
    caller: Caller,
    path: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let route = path.as_ref().map_or("", MatchedPath::as_str);
    if let Some(rate) = rate(caller.0.role, request.method(), route) {
        let whom = format!("{}:{}:{}", app.account, caller.0.role.as_str(), caller.0.subject);
        let what = format!("{}:{route}", request.method());
        let counting = trace::step(SpanKind::Client, "rate");
        let taken = app.limiter.take(&what, &whom, rate).await;
        drop(counting);
        match taken {
            Ok(Ok(())) => {}
            Ok(Err(wait)) => {
                metrics::counter!(THROTTLED).increment(1);
                return Err(Problem::from(Kind::TOO_MANY).retry_after(wait));
            }
            // Without Redis nobody is counted: better too many questions than none.
            Err(error) => tracing::warn!(%error, "requests are not counted"),
        }
    }
    Ok(next.run(request).await)
}

fn rate(role: ActorRole, method: &Method, route: &str) -> Option<Rate> {
    match (role, method) {
        (ActorRole::User, &Method::GET) => Some(READS),
        (ActorRole::User, _) if starts_to_pay(route) => Some(CHECKOUTS),
        (ActorRole::User, _) => Some(WRITES),
        (ActorRole::Service | ActorRole::Admin, _) => None,
    }
}

fn starts_to_pay(route: &str) -> bool {
    let paths = ["/checkout-sessions", "/payment-intents", "/subscription/change"];
    paths.iter().any(|path| route.ends_with(path))
}
