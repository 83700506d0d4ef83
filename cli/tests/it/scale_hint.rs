//! `tollgate scale-hint`, against what Redis says.

use std::time::Duration;

use serde_json::Value;

use crate::support::process::Tollgate;
use crate::support::{Rig, customer};

async fn hint(rig: &Rig, args: &[&str]) -> Value {
    let ended = Tollgate::run(&[&["scale-hint", "--json"], args].concat(), &rig.env()).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    serde_json::from_str(&ended.stdout).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hint_is_about_what_waits_and_what_comes() {
    let rig = Rig::new().await;
    let nothing = hint(&rig, &["--over", "100ms"]).await;
    assert_eq!((&nothing["workers"], &nothing["waiting"]), (&1.into(), &0.into()));

    let bodies: Vec<_> = (0..120).map(|number| customer(number, 1)).collect();
    rig.enqueue_into(8, &bodies).await;
    let asked = ["--over", "100ms", "--drain", "30s", "--per-worker", "2"];
    let waiting = hint(&rig, &asked).await;
    assert_eq!(
        (&waiting["waiting"], &waiting["per_second_in"]),
        (&120.into(), &0.into())
    );
    assert_eq!(
        (&waiting["workers"], &waiting["shards"]),
        (&2.into(), &8.into()),
        "{waiting}"
    );
    assert_eq!(
        (&waiting["living"], &waiting["is_measured"]),
        (&0.into(), &false.into())
    );

    let asked = ["--over", "3s", "--per-worker", "1"];
    let coming = async {
        // Within the looks, also where the command takes a second to begin.
        for number in 200..230 {
            rig.enqueue_into(8, &[customer(number, 1)]).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let (flood, ()) = tokio::join!(hint(&rig, &asked), coming);
    assert!(flood["per_second_in"].as_u64() > Some(0), "{flood}");
    assert_eq!(flood["per_second_out"], 0, "nobody works: {flood}");
}
