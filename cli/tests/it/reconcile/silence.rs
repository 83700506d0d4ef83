//! Nothing arrives: because nothing happens, because the endpoint is off, or because somebody else answers.

use store::coverage::Coverage;

use super::Town;

fn is(word: &'static str) -> impl Fn(&Coverage) -> bool {
    move |it| it.verdict.as_deref() == Some(word)
}

#[tokio::test(flavor = "multi_thread")]
async fn quiet_disabled_and_answered_by_others_are_told_apart() {
    let town = Town::open().await;
    let worker = town.rig.worker_with(town.env(&[]));
    town.wait_for_coverage(is("quiet")).await;
    town.customers(1).await;
    town.arrive(1).await;
    town.wait_for_coverage(is("flowing")).await;

    town.turn_endpoint(false).await;
    town.customers(1).await;
    town.pass().await;
    town.wait_for_coverage(is("endpoint_disabled")).await;
    town.wait_until_all_is_here().await;
    town.turn_endpoint(true).await;
    town.wait_for_coverage(|it| !is("endpoint_disabled")(it)).await;
    town.pass().await;

    // One moment in which events get lost is no silence; two, and nothing in between, are.
    town.lose("1").await;
    town.customers(2).await;
    town.pass().await;
    town.wait_until_all_is_here().await;
    let hole = town.wait_for_coverage(|it| it.silence.is_some()).await;
    assert!(!is("answered_elsewhere")(&hole), "{hole:?}");
    town.customers(1).await;
    town.pass().await;
    town.wait_for_coverage(is("answered_elsewhere")).await;
    town.wait_until_all_is_here().await;

    town.lose("0").await;
    town.customers(1).await;
    town.arrive(2).await;
    town.wait_for_coverage(is("flowing")).await;
    worker.stop().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingest_that_cannot_be_reached_and_an_account_without_our_endpoint_are_told_apart() {
    let town = Town::open().await;
    let elsewhere = ("TOLLGATE_STRIPE_ENDPOINT", "https://elsewhere.example/hook");
    for (more, word) in [(&[][..], "not_arriving"), (&[elsewhere], "no_endpoint")] {
        let worker = town.rig.worker_with(town.env(more));
        town.wait_for_coverage(|it| it.looked_until.is_some()).await;
        town.post("/simulator/webhooks", &[("hold", "true")]).await;
        for _ in 0..2 {
            town.customers(1).await;
            town.pass().await;
        }
        town.wait_for_coverage(is(word)).await;
        worker.stop().await.expect("a clean end");
    }
}
