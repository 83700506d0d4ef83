//! Taking billing off.

use bytes::Bytes;
use hyper::Method;
use serde_json::{Value, json};

use super::{Answer, Service, admin, service, user};
use crate::support::{Rig, unique, wait_for};

const PATH: &str = "/v1/admin/switches/billing";

async fn put(api: &Service, token: &str, body: &Value) -> Answer {
    let request = api
        .request(Method::PUT, PATH, Some(token))
        .header("Idempotency-Key", unique());
    api.send(request, Bytes::from(body.to_string())).await
}

#[tokio::test]
async fn staff_take_billing_off_and_say_why() {
    let rig = Rig::new().await;
    let api = Service::start(&rig).await;
    assert_eq!(api.get(&admin(), PATH).await.body, json!({"on": true}));
    let off = json!({"on": false, "reason": "a bank holiday"});
    assert_eq!(put(&api, &service(), &off).await.status, 403);
    assert_eq!(put(&api, &user("ann"), &off).await.status, 403);
    assert_eq!(
        put(&api, &admin(), &json!({"on": false, "reason": " "}))
            .await
            .status,
        400
    );
    assert_eq!(put(&api, &admin(), &off).await.body, json!({"on": false}));
    assert_eq!(api.get(&admin(), PATH).await.body, json!({"on": false}));
    let reached = wait_for(async || {
        let state = api.get(&user("ann"), "/v1/users/me/subscription-state").await;
        state.body["permissions"]["can_purchase"] == json!({"allowed": false, "reason": "switched_off"})
    });
    assert!(reached.await, "nobody may buy");
    let log = "SELECT concat_ws(' ', actor, role, action, reason, detail) FROM audit_log";
    assert_eq!(
        rig.text(log).await.as_deref(),
        Some(r#"staff_1 admin switch.billing a bank holiday {"on": false}"#)
    );
}
