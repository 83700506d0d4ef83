//! Who gets in.

use super::{PASSWORD, Visitor, start};
use crate::api::Service;
use crate::support::Rig;

const PAGES: [&str; 8] = [
    "/ops",
    "/ops/events",
    "/ops/dead-letters",
    "/ops/jobs",
    "/ops/queue",
    "/ops/workers",
    "/ops/customers",
    "/ops/audit-log",
];

#[tokio::test]
async fn nobody_sees_a_page_without_having_signed_in() {
    let rig = Rig::new().await;
    let api = start(&rig).await;
    let nobody = Visitor::nobody(&api);
    for page in PAGES {
        let shown = nobody.get(page).await;
        assert_eq!(shown.status, 303, "{page}");
        assert!(shown.to().starts_with("/ops/sign-in"), "{shown:?}");
        assert!(shown.body.is_empty());
    }
    let form = nobody.get("/ops/sign-in").await;
    assert_eq!(form.status, 200);
    let somebody = Visitor::new(&api, "reader").await;
    for page in PAGES {
        assert!(somebody.see(page).await.contains("<main"), "{page}");
    }
}

#[tokio::test]
async fn only_who_knows_the_password_gets_a_cookie_that_scripts_do_not_see() {
    let rig = Rig::new().await;
    let api = start(&rig).await;
    let nobody = Visitor::nobody(&api);
    for (name, password) in [
        ("reader", "correct horse battery!"),
        ("nobody", PASSWORD),
        ("", ""),
    ] {
        let fields = [("name", name), ("password", password)];
        let shown = nobody.post("/ops/sign-in", &fields).await;
        assert_eq!((shown.status, shown.header("set-cookie")), (403, ""), "{name}");
        assert!(shown.body.contains("do not fit"));
    }
    let next = [
        ("name", "reader"),
        ("password", PASSWORD),
        ("next", "//evil.test"),
    ];
    let shown = nobody.post("/ops/sign-in", &next).await;
    assert_eq!(shown.to(), "/ops");
    let cookie = shown.header("set-cookie");
    for word in ["HttpOnly", "SameSite=Strict", "Path=/ops", "Max-Age=28800"] {
        assert!(cookie.contains(word), "{cookie}");
    }
    let left = Visitor::new(&api, "reader")
        .await
        .submit("/ops/sign-out", &[])
        .await;
    assert!(left.header("set-cookie").contains("tollgate_ops=; "), "{left:?}");
}

#[tokio::test]
async fn whoever_guesses_has_to_wait() {
    let rig = Rig::new().await;
    let api = start(&rig).await;
    let nobody = Visitor::nobody(&api);
    let mut answers = Vec::new();
    // Some more than are allowed at once: on a slow machine some are allowed again meanwhile.
    while answers.len() < 40 && !answers.contains(&429) {
        let fields = [("name", "admin"), ("password", "guess")];
        answers.push(nobody.post("/ops/sign-in", &fields).await.status);
    }
    assert_eq!(answers[0], 403);
    assert!(answers.contains(&429), "{answers:?}");
    // Others are not kept out by it.
    Visitor::new(&api, "reader").await;
}

#[tokio::test]
async fn without_operators_there_is_no_ops_page() {
    let rig = Rig::new().await;
    let api = Service::start(&rig).await;
    let nobody = Visitor::nobody(&api);
    assert_eq!(nobody.get("/ops").await.status, 404);
    assert_eq!(nobody.get("/ops/sign-in").await.status, 404);
    assert_eq!(nobody.get("/livez").await.status, 200);
}
