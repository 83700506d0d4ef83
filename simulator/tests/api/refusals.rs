//! What is not there, not allowed or not understood.

use hyper::{Method, StatusCode};
use simulator::history::random::Options;

use crate::desk::{KEY, desk_of, lives, shop};

#[tokio::test]
async fn what_is_not_there_or_not_allowed_is_refused_as_stripe_does() {
    let options = Options::new(shop());
    let lives = lives(3..4, &options);
    let desk = desk_of(&lives, &options.catalogue).await;
    let missing = desk.get("/v1/customers/cus_nobody").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert_eq!(missing.body["error"]["type"], "invalid_request_error");
    assert_eq!(missing.body["error"]["code"], "resource_missing");
    assert_eq!(missing.body["error"]["message"], "No such customer: 'cus_nobody'");
    let price = &options.catalogue.pro.id;
    let cases = [
        (format!("/v1/customers/{price}"), None, 404),
        ("/v1/events/evt_none".to_owned(), None, 404),
        ("/v2/core/events/evt_none".to_owned(), None, 404),
        ("/v1/nothing/at/all".to_owned(), None, 404),
        ("/v1/events?limit=0".to_owned(), None, 400),
        ("/v1/events?limit=101".to_owned(), None, 400),
        ("/v1/events?limit=ten".to_owned(), None, 400),
        ("/v1/events?starting_after=evt_none".to_owned(), None, 400),
        (
            "/v1/events?starting_after=a&ending_before=b".to_owned(),
            None,
            400,
        ),
        ("/v1/events?type=a&types[]=b".to_owned(), None, 400),
        ("/v1/events?created[gte]=monday".to_owned(), None, 400),
        ("/v1/invoice_payments?invoice=in_none".to_owned(), None, 400),
        (
            format!("/v1/prices/{price}"),
            Some(("stripe-version", "newest")),
            400,
        ),
        (
            format!("/v1/prices/{price}"),
            Some(("stripe-account", "acct_other")),
            403,
        ),
        (
            format!("/v1/prices/{price}"),
            Some(("stripe-account", options.catalogue.account.as_str())),
            200,
        ),
    ];
    for (path, header, status) in cases {
        let headers: Vec<_> = [("authorization", KEY)].into_iter().chain(header).collect();
        assert_eq!(
            desk.ask(Method::GET, &path, &headers).await.status,
            status,
            "{path}"
        );
    }
}

#[tokio::test]
async fn whoever_shows_no_key_is_refused() {
    let desk = desk_of(&[], &shop()).await;
    for headers in [
        &[][..],
        &[("authorization", "Bearer whsec_1")],
        &[("authorization", "sk_test_1")],
    ] {
        let answer = desk.ask(Method::GET, "/v1/events", headers).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    let put = desk
        .ask(Method::PUT, "/v1/customers/cus_1", &[("authorization", KEY)])
        .await;
    assert_eq!(put.status, StatusCode::NOT_FOUND);
}
