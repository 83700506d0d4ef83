//! Every operation of the description, asked by who must not: nobody, a bad token, another user. Operations that are
//! added later are asked, too.

use serde_json::{Map, Value, json};

use super::operations::Operation;
use super::street::Street;
use super::tokens::{wrong_claims, wrong_signatures};
use super::{Service, service, user};
use crate::support::Rig;

/// Whose everything is. A word that is nowhere else.
const VICTIM: &str = "victim_of_strangers";
const STRANGER: &str = "bob";

/// What there is of a user, by the names that paths have for it.
async fn with_a_past(street: &Street) -> Map<String, Value> {
    let (api, wish) = (&street.api, json!({"package": "credits_1000"}));
    let session = street.checkout(&user(VICTIM), &wish).await;
    street.till.pay(&session).await;
    street.wait_for_credits(VICTIM, 1000).await;
    let session = session.body["id"].clone();
    let path = format!(
        "/v1/users/{VICTIM}/checkout-sessions/{}",
        session.as_str().expect("one")
    );
    let payment = api.get(&service(), &path).await.body["payment_id"].clone();
    let reserve = format!("/v1/users/{VICTIM}/credits/reservations");
    let held = api.post(&service(), &reserve, &json!({"credits": 10})).await.body["id"].clone();
    let there = json!({"user": VICTIM, "session": session, "payment": payment, "id": held, "team": VICTIM});
    assert!(
        there.as_object().expect("one").values().all(Value::is_string),
        "{there}"
    );
    there.as_object().expect("one").clone()
}

/// Rows that name somebody, or all of them for nobody in particular; but not that somebody asked.
async fn stored(rig: &Rig, whom: &str) -> String {
    let tables =
        "SELECT string_agg(format('SELECT %L, t::text FROM %I AS t', relname, relname), ' UNION ALL ')
                  FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
                    AND relname NOT IN ('api_requests', 'ledger_check', 'ledger_checkpoints')";
    let tables = rig.text(tables).await.expect("tables");
    let rows = format!(
        "SELECT md5(string_agg(concat_ws(' ', name, line), ',' ORDER BY name, line))
         FROM ({tables}) AS stored (name, line) WHERE line LIKE '%{whom}%'"
    );
    rig.text(&rows).await.expect("rows")
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_without_a_good_token_is_let_in_anywhere() {
    let rig = Rig::new().await;
    let api = Service::start(&rig).await;
    let before = stored(&rig, "").await;
    for operation in Operation::all() {
        let (named, body) = (operation.named(), operation.body.as_ref());
        let path = operation.path_with(|_| "ann".to_owned());
        let without = operation.ask(&api, None, &path, body).await;
        assert_eq!(
            (without.status, without.code()),
            (401, "unauthenticated"),
            "{named}"
        );
        for (what, token) in wrong_claims().into_iter().chain(wrong_signatures()) {
            let answer = operation.ask(&api, Some(&token), &path, body).await;
            assert_eq!(
                (answer.status, answer.code()),
                (401, "unauthenticated"),
                "{named}, {what}"
            );
        }
    }
    assert_eq!(stored(&rig, "").await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_user_learns_and_changes_nothing_whatever_they_name() {
    let street = Street::open().await;
    let there = with_a_past(&street).await;
    let (till, api) = street.without_worker().await;
    let (rig, stranger) = (&till.rig, user(STRANGER));
    let (before, made) = (stored(rig, "").await, till.stripe.shop().counts());
    // In the path: of what is there, of the victim.
    let value = |name: &str| {
        let known = there.get(name).and_then(Value::as_str);
        known.unwrap_or("1").to_owned()
    };
    for operation in Operation::all() {
        let path = operation.path_with(value);
        let answer = operation
            .ask(&api, Some(&stranger), &path, operation.body.as_ref())
            .await;
        assert!(
            matches!(answer.status, 403 | 404),
            "{} as another user: {answer:?}",
            operation.named()
        );
    }
    assert_eq!(stored(rig, "").await, before);

    // In the query and in the body, where the path is their own: they do not count, or are no request at all.
    let before = stored(rig, VICTIM).await;
    let named = json!({"user": VICTIM, "user_id": VICTIM, "sub": VICTIM, "subject": VICTIM, "owner": VICTIM});
    for operation in Operation::all() {
        let path = operation.path_with(|name| {
            if name == "user" {
                "me".to_owned()
            } else {
                value(name)
            }
        });
        let query = format!("{path}?user={VICTIM}&user_id={VICTIM}&sub={VICTIM}&owner={VICTIM}");
        let mut body = named.clone();
        if let (Some(body), Some(Value::Object(own))) = (body.as_object_mut(), &operation.body) {
            body.extend(own.clone());
        }
        for (path, body) in [(&query, operation.body.as_ref()), (&path, Some(&body))] {
            let answer = operation.ask(&api, Some(&stranger), path, body).await;
            let shown = answer.body.to_string();
            assert!(
                !shown.contains(VICTIM) || answer.status >= 400,
                "{}: {answer:?}",
                operation.named()
            );
        }
    }
    assert_eq!(stored(rig, VICTIM).await, before);
    assert_eq!(till.stripe.shop().counts(), made);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_for_staff_is_not_for_the_application() {
    let rig = Rig::new().await;
    let api = Service::start(&rig).await;
    let mut asked = 0;
    for operation in Operation::all() {
        if !operation.path.starts_with("/v1/admin/") {
            continue;
        }
        asked += 1;
        let path = operation.path_with(|_| "ann".to_owned());
        let answer = operation
            .ask(&api, Some(&service()), &path, operation.body.as_ref())
            .await;
        assert_eq!(
            (answer.status, answer.code()),
            (403, "forbidden"),
            "{}",
            operation.named()
        );
    }
    assert!(asked > 5, "{asked}");
}
