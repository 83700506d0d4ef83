//! The description is made from the code; these hold what every route must say.

use bytes::Bytes;
use hyper::Method;

use super::Service;
use crate::support::Rig;

#[tokio::test]
async fn the_description_is_served_and_says_what_all_share() {
    let rig = Rig::new().await;
    let api = Service::start(&rig).await;
    let served = api
        .send(api.request(Method::GET, "/openapi.json", None), Bytes::new())
        .await;
    assert_eq!(served.body, serde_json::to_value(api::openapi()).expect("JSON"));
    assert_eq!(served.body["openapi"], "3.1.0");
    let paths = served.body["paths"].as_object().expect("paths");
    for (path, item) in paths {
        for (method, operation) in item.as_object().expect("operations") {
            let named = format!("{method} {path}");
            assert!(operation["summary"].is_string(), "{named} has no summary");
            for status in ["400", "401", "403", "429", "503"] {
                assert!(
                    operation["responses"][status].is_object(),
                    "{named} does not say {status}"
                );
            }
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let has_key = parameters
                .iter()
                .any(|parameter| parameter["name"] == "Idempotency-Key");
            assert_eq!(has_key, method != "get", "{named}");
        }
    }
    let page = api.request(Method::GET, "/docs", None);
    let page = crate::support::http::exchange(page, Bytes::new())
        .await
        .expect("an answer");
    let text = String::from_utf8_lossy(page.body());
    assert!(
        page.headers()["content-security-policy"]
            .to_str()
            .expect("text")
            .starts_with("default-src 'none'")
    );
    for path in paths.keys() {
        assert!(text.contains(path.as_str()), "{path} is not on the page");
    }
}
