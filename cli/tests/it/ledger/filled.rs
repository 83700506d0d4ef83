//! The ledger that `tollgate bench` measures the API on: filled past the triggers, and as true as one that was not.

use store::Spend;
use store::yardstick::{Direct, user};

use super::check::round;
use crate::support::Rig;

#[tokio::test]
async fn a_filled_ledger_is_true_and_can_be_spent_from() {
    let rig = Rig::new().await;
    let store = rig.store();
    let indexes = "SELECT string_agg(pg_get_indexdef(indexrelid), ';' ORDER BY indexrelid::regclass::text) FROM pg_index
                   WHERE indrelid = 'ledger_transfers'::regclass";
    let before = rig.text(indexes).await;
    store.fill_ledger(40, 2_000).await.expect("filled");
    assert_eq!(rig.text(indexes).await, before, "as they were");
    assert_eq!(rig.count("SELECT count(*) FROM ledger_transfers").await, 2_000);
    assert_eq!(round(&store, 500, true).await, []);

    let spent = store
        .spend("", &user(7), 5, "one", None)
        .await
        .expect("an answer");
    assert!(
        matches!(spent, Spend::Spent { available } if available > 0),
        "{spent:?}"
    );
    let mut direct = Direct::connect(&store).await.expect("a connection");
    assert!(direct.spend(&user(7), "two").await.expect("an answer"));
    assert_eq!(round(&store, 500, true).await, []);
}
