//! `tollgate catalog`.

use std::path::PathBuf;

use serde_json::{Value, json};
use shared::config::Env;
use tempfile::TempDir;

use crate::state::work;
use crate::support::process::{Ended, Tollgate};
use crate::support::{Rig, event, shared_data};

const CATALOG: &str = "\
[[plan]]
name = 'pro'
price = 'price_pro'
credits = 2000
unit_amount = 2000
currency = 'usd'

[[package]]
name = 'credits_500'
price = 'price_500'
credits = 500
";

/// A catalogue file that can be written again.
struct File {
    dir: TempDir,
    name: &'static str,
}

impl File {
    fn new(name: &'static str, text: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let file = Self { dir, name };
        file.write(text);
        file
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join(self.name)
    }

    fn write(&self, text: &str) {
        std::fs::write(self.path(), text).expect("written");
    }

    async fn run(&self, args: &[&str], env: &Env) -> Ended {
        let path = self.path();
        let path = path.to_str().expect("UTF-8");
        Tollgate::run(&[&["catalog"], args, &[path]].concat(), env).await
    }

    async fn applied(&self, args: &[&str], rig: &Rig) -> Value {
        let ended = self.run(&[&["apply", "--json"], args].concat(), &rig.env()).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        serde_json::from_str(&ended.stdout).expect("JSON")
    }
}

async fn show(rig: &Rig) -> Value {
    let ended = Tollgate::run(&["catalog", "show", "--json"], &rig.env()).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    serde_json::from_str(&ended.stdout).expect("JSON")
}

fn terms_of<'a>(shown: &'a Value, price: &str) -> &'a Value {
    let terms = shown["terms"].as_array().expect("terms");
    terms
        .iter()
        .find(|it| it["price"] == price)
        .unwrap_or(&Value::Null)
}

/// Everything a catalogue is made of.
async fn rows(rig: &Rig) -> Option<String> {
    rig.text(
        "SELECT concat((SELECT json_agg(o ORDER BY name) FROM catalog_offers o),
                       (SELECT json_agg(t ORDER BY price_id, since) FROM price_terms t),
                       (SELECT count(*) FROM marks))",
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_checked_without_a_database() {
    let file = File::new("catalog.toml", CATALOG);
    let fine = file.run(&["check"], &Env::default()).await;
    assert_eq!((fine.code, fine.stderr.as_str()), (Some(0), ""), "{fine:?}");
    assert!(
        fine.stdout
            .contains("2 offers in order, 0 errors, 0 warnings; not compared"),
        "{fine:?}"
    );

    file.write(&CATALOG.replace("credits = 500", "credit = 500"));
    let wrong = file.run(&["check"], &Env::default()).await;
    assert_eq!(wrong.code, Some(1), "{wrong:?}");
    assert!(
        wrong
            .stdout
            .contains("catalog.toml:11: error: package credits_500: `credit` is no member"),
        "{wrong:?}"
    );

    let json = file.run(&["check", "--json"], &Env::default()).await;
    let said: Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!(
        (json.code, said["compared"].as_bool()),
        (Some(1), Some(false)),
        "{said}"
    );
    let finding = &said["findings"][1];
    assert_eq!(
        (&finding["line"], &finding["level"]),
        (&json!(11), &json!("error")),
        "{said}"
    );

    let nothing = Tollgate::run(&["catalog", "check", "/nowhere/catalog.toml"], &Env::default()).await;
    assert_eq!(nothing.code, Some(1), "{nothing:?}");
    assert!(
        nothing
            .stdout
            .contains("/nowhere/catalog.toml: error: cannot be read"),
        "{nothing:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn applying_is_idempotent_and_a_dry_run_changes_nothing() {
    let rig = Rig::new().await;
    let file = File::new("catalog.toml", CATALOG);
    let before = rows(&rig).await;
    let would = file.applied(&["--dry-run"], &rig).await;
    assert_eq!(
        (&would["dry_run"], &would["added"]),
        (&json!(true), &json!(["pro", "credits_500"]))
    );
    assert_eq!(rows(&rig).await, before, "a dry run changed something");

    let did = file.applied(&[], &rig).await;
    assert_eq!(did["added"], would["added"]);
    let first =
        json!([{"price": "price_pro", "since": "beginning"}, {"price": "price_500", "since": "beginning"}]);
    assert_eq!(did["terms"], first);
    let marks = "SELECT string_agg(object_id, ' ' ORDER BY object_id) FROM marks WHERE (account, kind) = ('', 'price')";
    assert_eq!(rig.text(marks).await.as_deref(), Some("price_500 price_pro"));

    let after = rows(&rig).await;
    let again = file.applied(&[], &rig).await;
    assert_eq!((&again["unchanged"], &again["terms"]), (&json!(2), &json!([])));
    assert_eq!(rows(&rig).await, after, "applied twice");

    let shown = show(&rig).await;
    assert_eq!(shown["offers"][1]["name"], "pro", "{shown}");
    let pro = terms_of(&shown, "price_pro");
    assert_eq!(
        (&pro["origin"], &pro["since"], &pro["credits"]),
        (&json!("file"), &Value::Null, &json!(2000))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn new_terms_count_from_now_on_and_what_is_gone_is_not_offered() {
    let rig = Rig::new().await;
    let file = File::new("catalog.toml", CATALOG);
    file.applied(&[], &rig).await;
    let (plan, _) = CATALOG.split_once("[[package]]").expect("both");
    file.write(&plan.replace("credits = 2000", "credits = 2500"));
    let did = file.run(&["apply"], &rig.env()).await;
    assert_eq!(did.code, Some(0), "{did:?}");
    for line in [
        "~ pro  credits 2000 -> 2500",
        "- credits_500",
        "  price_pro: 2500 credits, for what is paid from now on",
    ] {
        assert!(did.stdout.lines().any(|said| said == line), "{line}: {did:?}");
    }
    let file_terms = |price: &str| {
        format!("SELECT string_agg(concat(credits, CASE WHEN isfinite(since) THEN ' later' END), ', ' ORDER BY since)
                 FROM price_terms WHERE origin = 'file' AND price_id = '{price}'")
    };
    assert_eq!(
        rig.text(&file_terms("price_pro")).await.as_deref(),
        Some("2000, 2500 later")
    );
    assert_eq!(
        rig.text(&file_terms("price_500")).await.as_deref(),
        Some("500"),
        "still paid for by some"
    );
    assert_eq!(rig.count("SELECT count(*) FROM catalog_offers").await, 1);
    let shown = show(&rig).await;
    assert_eq!(terms_of(&shown, "price_pro")["credits"], 2500);
    let words = Tollgate::run(&["catalog", "show"], &rig.env()).await.stdout;
    assert!(
        words.contains("1 other prices are known\n  price_500  500 credits (file)"),
        "{words}"
    );

    // Another account has a catalogue of its own.
    file.applied(&["--account", "acct_1"], &rig).await;
    assert_eq!(
        rig.count("SELECT count(*) FROM catalog_offers WHERE account = ''")
            .await,
        1
    );
    assert_eq!(
        rig.count("SELECT count(*) FROM catalog_offers WHERE account = 'acct_1'")
            .await,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_contradicts_stripe_is_not_applied() {
    let rig = Rig::new().await;
    let price = |currency: &str, active: bool| {
        json!({"id": "price_pro", "object": "price", "unit_amount": 2000, "currency": currency, "active": active,
            "type": "recurring", "product": "prod_1", "metadata": {"credits": "1500"}})
    };
    work(&rig, &[event("evt_1", "price.created", 1, &price("eur", true))]).await;
    let file = File::new("catalog.toml", CATALOG);
    let before = rows(&rig).await;
    let refused = file.run(&["apply"], &rig.env()).await;
    assert_eq!(
        (refused.code, refused.stdout.as_str()),
        (Some(1), ""),
        "{refused:?}"
    );
    assert!(
        refused
            .stderr
            .contains("catalog.toml:1: error: plan pro: currency: usd in the file, eur at Stripe")
    );
    assert!(refused.stderr.contains("nothing was changed"), "{refused:?}");
    assert_eq!(rows(&rig).await, before);
    let checked = file.run(&["check"], &rig.env()).await;
    assert_eq!(checked.code, Some(1), "{checked:?}");
    assert!(
        checked.stdout.contains("1 error, 2 warnings; compared"),
        "{checked:?}"
    );

    work(&rig, &[event("evt_2", "price.updated", 2, &price("usd", false))]).await;
    let warned = file.applied(&[], &rig).await;
    let texts: Vec<&str> = warned["findings"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|it| it["text"].as_str())
        .collect();
    for words in [
        "archived",
        "2000 in the file, which counts; 1500 in",
        "no event about this price",
    ] {
        assert!(
            texts.iter().any(|text| text.contains(words)),
            "{words}: {texts:?}"
        );
    }
}

/// Since 2025-03-31.basil an invoice only names its price. Who paid waits until somebody says what that grants.
#[tokio::test(flavor = "multi_thread")]
async fn who_paid_for_an_unknown_price_has_credits_once_the_file_says_how_many() {
    let rig = Rig::new().await;
    let customer = json!({"id": "cus_1", "object": "customer", "metadata": {"user_id": "usr_1"}});
    let line = json!({"id": "il_1", "object": "line_item", "amount": 2000, "quantity": 1,
        "pricing": {"type": "price_details", "price_details": {"price": "price_pro", "product": "prod_1"}}});
    let invoice = |id: &str| {
        json!({"id": id, "object": "invoice", "status": "paid", "customer": "cus_1", "created": 5,
            "billing_reason": "subscription_create", "amount_paid": 2000, "total": 2000, "currency": "usd",
            "lines": {"object": "list", "data": [line], "has_more": false}})
    };
    let paid = event("evt_2", "invoice.paid", 5, &invoice("in_1"));
    work(&rig, &[event("evt_1", "customer.created", 1, &customer), paid]).await;
    let credits = "SELECT coalesce(sum(balance), 0)::bigint FROM ledger_accounts WHERE owner_id = 'usr_1'";
    assert_eq!(rig.count(credits).await, 0);
    assert_eq!(
        rig.text("SELECT problem FROM money_sources").await.as_deref(),
        Some("unknown_price")
    );

    let file = File::new("catalog.toml", CATALOG);
    file.applied(&[], &rig).await;
    work(&rig, &[]).await;
    assert_eq!(rig.count(credits).await, 2000);

    // What was paid before keeps its terms, even when it is looked at again.
    file.write(&CATALOG.replace("credits = 2000", "credits = 9000"));
    file.applied(&[], &rig).await;
    rig.execute("INSERT INTO marks (account, kind, object_id) VALUES ('', 'invoice', 'in_1')")
        .await;
    work(&rig, &[]).await;
    assert_eq!(rig.count(credits).await, 2000);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogue_of_a_scenario_is_taken_as_it_is() {
    let Some(path) = shared_data("scenarios/catalog__2026-10-28.endive.json") else {
        return;
    };
    let scenario: Value = serde_json::from_slice(&std::fs::read(path).expect("readable")).expect("JSON");
    let rig = Rig::new().await;
    let file = File::new("catalog.json", &scenario["config"]["catalog"].to_string());
    let did = file.applied(&[], &rig).await;
    assert_eq!(did["added"].as_array().map(Vec::len), Some(4), "{did}");
    let kinds = "SELECT string_agg(kind || ' ' || name, ', ' ORDER BY name) FROM catalog_offers";
    let wanted = "package credits_1000, package credits_1000_jpy, plan pro_monthly, plan team_monthly";
    assert_eq!(rig.text(kinds).await.as_deref(), Some(wanted));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_apply_at_a_time_do_so_one_after_the_other() {
    let rig = Rig::new().await;
    let files: Vec<File> = (1..=4)
        .map(|number| {
            File::new(
                "catalog.toml",
                &CATALOG.replace("2000\nunit", &format!("{number}\nunit")),
            )
        })
        .collect();
    let env = rig.env();
    let ended = futures_of(&files, &env).await;
    assert!(ended.iter().all(|ended| ended.code == Some(0)), "{ended:?}");
    let newest = "SELECT credits FROM price_terms WHERE price_id = 'price_pro' ORDER BY since DESC LIMIT 1";
    let offered = rig
        .count("SELECT credits FROM catalog_offers WHERE name = 'pro'")
        .await;
    assert_eq!(rig.count(newest).await, offered);
    assert_eq!(
        rig.count("SELECT count(*) FROM price_terms WHERE price_id = 'price_pro'")
            .await,
        4
    );
}

async fn futures_of(files: &[File], env: &Env) -> [Ended; 4] {
    let [a, b, c, d] = files else { panic!("four") };
    let args = ["apply"];
    tokio::join!(
        a.run(&args, env),
        b.run(&args, env),
        c.run(&args, env),
        d.run(&args, env)
    )
    .into()
}
