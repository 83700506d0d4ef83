//! Nothing arrives: because nothing happens, because the endpoint is off, or because somebody else answers.

use super::Town;

/// Longer than `TOLLGATE_RECONCILE_SILENCE_SECONDS`, in Stripe's time, whose `created` counts whole seconds.
const A_SILENCE: &str = "3";

#[tokio::test(flavor = "multi_thread")]
async fn quiet_disabled_and_answered_by_others_are_told_apart() {
    let town = Town::open().await;
    let worker = town.rig.worker_with(town.env(&[]));
    let is = |word: &'static str| move |it: &store::coverage::Coverage| it.verdict.as_deref() == Some(word);
    town.wait_for_coverage(is("quiet")).await;
    town.customers(1).await;
    town.wait_for_coverage(is("flowing")).await;

    town.turn_endpoint(false).await;
    town.customers(1).await;
    town.wait_for_coverage(is("endpoint_disabled")).await;
    town.wait_until_all_is_here().await;
    town.turn_endpoint(true).await;
    town.wait_for_coverage(|it| !is("endpoint_disabled")(it)).await;
    town.pass(A_SILENCE).await;

    // One moment in which events get lost is no silence; two, and nothing in between, are.
    town.lose("1").await;
    town.customers(2).await;
    town.wait_until_all_is_here().await;
    let hole = town.wait_for_coverage(|it| it.silence.is_some()).await;
    assert_ne!(hole.verdict.as_deref(), Some("answered_elsewhere"), "{hole:?}");
    town.pass(A_SILENCE).await;
    town.customers(1).await;
    town.wait_for_coverage(is("answered_elsewhere")).await;
    town.wait_until_all_is_here().await;

    town.lose("0").await;
    town.customers(1).await;
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
        town.customers(1).await;
        town.pass(A_SILENCE).await;
        town.customers(1).await;
        town.wait_for_coverage(|it| it.verdict.as_deref() == Some(word))
            .await;
        worker.stop().await.expect("a clean end");
    }
}
