//! The rules about catalogue files, as tables of cases.

use std::path::Path;

use domain::objects::PriceTerms;
use serde_json::json;
use store::{Catalog, KnownPrice, PriceFacts};

use super::compare::compare;
use super::diff::{Since, diff};
use super::finding::Level;
use super::offer::Kind;
use super::{Finding, Offer, understand};

fn toml(text: &str) -> (Vec<Offer>, Vec<Finding>) {
    understand(Path::new("catalog.toml"), text)
}

fn json_file(text: &str) -> (Vec<Offer>, Vec<Finding>) {
    understand(Path::new("catalog.json"), text)
}

/// The offers of a file without mistakes.
fn offers(text: &str) -> Vec<Offer> {
    let (offers, findings) = toml(text);
    assert_eq!(findings, [], "{text}");
    offers
}

/// What was found, as a person reads it.
fn said(findings: &[Finding]) -> Vec<String> {
    findings
        .iter()
        .map(|finding| finding.in_file("f").to_string())
        .collect()
}

const PRO: &str = "[[plan]]\nname = 'pro'\nprice = 'price_1'\ncredits = 2000\nunit_amount = 2000\ncurrency = 'usd'\n\
                   interval = 'month'\nproduct = 'prod_1'\n";

#[test]
fn the_examples_in_the_documentation_are_in_order() {
    let page = include_str!("../../../docs/catalog.md");
    let block = |language: &str| {
        let (_, rest) = page.split_once(&format!("```{language}\n")).expect("an example");
        rest.split_once("```").expect("its end").0
    };
    let example = offers(block("toml"));
    assert_eq!(example.len(), 3);
    let (same, findings) = json_file(block("json"));
    assert_eq!((same.len(), findings), (1, Vec::new()));
    assert_eq!((same[0].kind, same[0].name.as_str()), (Kind::Plan, "pro_monthly"));
    for member in super::offer::members() {
        assert!(
            page.contains(&format!("`{member}`")),
            "{member} is not in docs/catalog.md"
        );
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once_and_where() {
    let (offers, findings) = toml(concat!(
        "[[plan]]\n",                          // 1
        "name = 'pro'\n",                      // 2
        "price = 'prod_1'\n",                  // 3
        "credit = 2000\n",                     // 4
        "currency = 'USD'\n",                  // 5
        "interval = 'mont'\n",                 // 6
        "\n[[package]]\n",                     // 8
        "name = 'pro'\n",                      // 9
        "price = 'price_2'\n",                 // 10
        "credits = -5\n",                      // 11
        "free_monthly_credits = 3\n",          // 12
        "unit_amount = '10'\n",                // 13
        "active = 'yes'\n",                    // 14
        "\n[[package]]\n",                     // 16
        "price = 'price_2'\n",                 // 17
        "credits = 0\n",                       // 18
        "credits_expire_days = 99999999999\n", // 19
        "\n[[packages]]\n",                    // 21
    ));
    assert_eq!(offers, []);
    let wanted = [
        "f:1: error: plan pro: credits is missing",
        "f:3: error: plan pro: price: \"prod_1\" is no price's id such as price_1SPm3dKd9Lm2Qx7T",
        "f:4: error: plan pro: `credit` is no member; did you mean credits?",
        "f:5: error: plan pro: currency: \"USD\" is no code of three small letters such as usd",
        "f:6: error: plan pro: interval: \"mont\" is none of day, week, month, year; did you mean month?",
        "f:9: error: package pro: name: pro is also that of plan pro",
        "f:11: error: package pro: credits: -5 is no whole number from 1 up, without quotes",
        "f:12: error: package pro: `free_monthly_credits` is for plans, and this is a package",
        "f:13: error: package pro: unit_amount: \"10\" is no whole number from 0 up, without quotes",
        "f:13: error: package pro: unit_amount needs a currency",
        "f:14: error: package pro: active: must be true or false",
        "f:16: error: package number 2: name is missing",
        "f:17: error: package number 2: price: price_2 is also that of package pro",
        "f:18: error: package number 2: credits: 0 is no whole number from 1 up, without quotes",
        "f:19: error: package number 2: credits_expire_days: 99999999999 is more than 2147483647",
        "f:21: error: `packages` is neither `plan` nor `package`; did you mean package?",
    ];
    assert_eq!(said(&findings), wanted);
}

#[test]
fn what_is_no_catalogue_says_what_would_be() {
    let cases = [
        (toml(""), "would take everything off sale"),
        (json_file("{}"), "would take everything off sale"),
        (toml("[plan]\nname = 'pro'\n"), "write [[plan]] above each one"),
        (toml("plan = [1]\n"), "plan number 1 is no table"),
        (toml("[[plan]]\nname = \n"), "f:2: error: "),
        (json_file("[]"), "must be a JSON object"),
        (json_file("{\"plan\": ["), "f:1: error: EOF"),
        (understand(Path::new("catalog.yaml"), ""), ".toml or .json"),
        (
            toml(&PRO.replace("'pro'", "'price_1'")),
            "clients never name prices",
        ),
        (
            toml(&PRO.replace("'pro'", "'for pros'")),
            "letters, digits and -_. only",
        ),
        (toml(&PRO.replace("2000", "20.5")), "\"20.5\" is no whole number"),
        (toml(&PRO.replace("'prod_1'", "'price_1'")), "is no product's id"),
        (
            json_file(r#"{"plan": [{"name": "a", "name": "b"}]}"#),
            "`name` is there twice",
        ),
    ];
    for ((offers, findings), words) in cases {
        assert_eq!(offers, [], "{words}");
        assert!(
            said(&findings).iter().any(|said| said.contains(words)),
            "{words}: {findings:?}"
        );
    }
}

#[test]
fn objects_under_their_prices_are_taken_as_they_are() {
    let (offers, findings) = json_file(
        r#"{"price_1": {"credits": 2000, "unit_amount": 2000, "currency": "usd", "interval": "month",
                        "product": "prod_1", "lookup_key": "pro"},
            "price_2": {"credits": 1000, "interval": null, "lookup_key": null}}"#,
    );
    assert_eq!(findings, []);
    let [plan, package] = &offers[..] else {
        panic!("{offers:?}")
    };
    assert_eq!(
        Offer {
            line: None,
            ..self::offers(PRO)[0].clone()
        },
        *plan
    );
    assert_eq!(
        (package.kind, package.name.as_str(), package.price.as_str()),
        (Kind::Package, "price_2", "price_2")
    );

    let (_, findings) = json_file(
        r#"{"price_1": {"credits": 1, "lookup_key": "a"}, "price_2": {"credits": 1, "lookup_key": "a", "nickname": null},
            "price_1": {"credits": 1, "lookup_key": 7}, "other": {"credits": 1}}"#,
    );
    let wanted = [
        "f: error: package price_2: `nickname` is no member",
        "f: error: package price_2: name: a is also that of package price_1",
        "f: error: package price_1: lookup_key: must be a text, in quotes",
        "f: error: package price_1: price: price_1 is also that of package price_1",
        "f: error: package other: price: \"other\" is no price's id such as price_1SPm3dKd9Lm2Qx7T",
    ];
    let said = said(&findings);
    assert!(
        wanted.iter().all(|wanted| said.iter().any(|said| said == wanted)),
        "{said:#?}"
    );
}

fn facts() -> PriceFacts {
    PriceFacts {
        active: true,
        deleted: false,
        product_id: Some("prod_1".into()),
        price_type: Some("recurring".into()),
        interval: Some("month".into()),
        currency: Some("usd".into()),
        unit_amount: Some(2000),
    }
}

fn known(facts: Option<PriceFacts>, terms: Option<PriceTerms>) -> KnownPrice {
    let id = "price_1".into();
    KnownPrice { id, facts, terms }
}

/// Makes a price another one.
type Change = fn(&mut PriceFacts);

/// What is found when this is known about the price of [`PRO`]: one thing, or nothing.
fn compared(known: KnownPrice, wanted: Option<(Level, &str)>) {
    let found = compare(&offers(PRO), std::slice::from_ref(&known));
    let found: Vec<(Level, String)> = found.into_iter().map(|it| (it.level, it.text)).collect();
    match wanted {
        None => assert_eq!(found, [], "{known:?}"),
        Some((level, words)) => {
            assert_eq!(found.len(), 1, "{known:?}: {found:?}");
            assert!(
                found[0].0 == level && found[0].1.contains(words),
                "{words}: {found:?}"
            );
        }
    }
}

#[test]
fn what_stripe_never_changes_cannot_differ_and_what_it_may_is_a_warning() {
    let with = |change: Change, wanted| {
        let mut facts = facts();
        change(&mut facts);
        compared(known(Some(facts), None), wanted);
    };
    with(|_| {}, None);
    let errors: [(Change, &str); 6] = [
        (
            |it| it.product_id = Some("prod_2".into()),
            "product: prod_1 in the file, prod_2 at",
        ),
        (
            |it| it.currency = Some("eur".into()),
            "currency: usd in the file, eur at",
        ),
        (
            |it| it.unit_amount = Some(1),
            "unit_amount: 2000 in the file, 1 at",
        ),
        (|it| it.unit_amount = None, "no whole number of minor units"),
        (
            |it| it.interval = Some("year".into()),
            "interval: month in the file, year at",
        ),
        (
            |it| it.price_type = Some("one_time".into()),
            "offer it as a [[package]]",
        ),
    ];
    for (change, words) in errors {
        with(change, Some((Level::Error, words)));
    }
    with(|it| it.active = false, Some((Level::Warning, "archived")));
    with(
        |it| (it.active, it.deleted) = (false, true),
        Some((Level::Warning, "deleted")),
    );

    let mut archived = facts();
    archived.active = false;
    let retired = offers(&format!("{PRO}active = false\n"));
    assert_eq!(compare(&retired, &[known(Some(archived), None)]), []);
}

#[test]
fn what_other_objects_carried_along_is_compared_too() {
    compared(
        known(None, None),
        Some((Level::Warning, "no event about this price")),
    );
    let with = |change: fn(&mut PriceTerms), wanted| {
        let mut terms = offers(PRO)[0].terms();
        change(&mut terms);
        compared(known(None, Some(terms)), wanted);
    };
    with(|_| {}, None);
    with(|it| it.unit_amount = Some(1), Some((Level::Error, "unit_amount")));
    with(
        |it| it.currency = Some("eur".into()),
        Some((Level::Error, "currency")),
    );
    with(
        |it| it.credits = 1,
        Some((Level::Warning, "credits: 2000 in the file, which counts; 1 in")),
    );
    with(|it| it.credits = 0, None);
}

/// What a file leaves behind.
fn applied(offers: &[Offer]) -> Catalog {
    Catalog {
        offers: offers.iter().map(Offer::row).collect(),
        terms: offers.iter().map(Offer::terms).collect(),
    }
}

#[test]
fn only_what_is_different_changes() {
    let pro = offers(PRO);
    let first = diff(&Catalog::default(), &pro);
    assert_eq!(first.added, ["pro"]);
    assert_eq!(first.terms[0].since, Since::Beginning);

    let before = applied(&pro);
    assert!(diff(&before, &pro).is_empty());

    let dearer = offers(&PRO.replace("credits = 2000", "credits = 2500"));
    let changes = diff(&before, &dearer);
    let wanted = json!({"added": [], "removed": [], "unchanged": 0,
        "changed": [{"name": "pro", "members": {"credits": {"from": 2000, "to": 2500}}}],
        "terms": [{"price": "price_1", "since": "now"}]});
    assert_eq!(serde_json::to_value(&changes).expect("JSON"), wanted);

    // Not for sale any more: another offer, the same terms.
    let retired = diff(&before, &offers(&format!("{PRO}active = false\n")));
    assert_eq!((retired.changed.len(), retired.terms.len()), (1, 0));

    // By another name: the price's terms are the same.
    let renamed = diff(&before, &offers(&PRO.replace("'pro'", "'basic'")));
    assert_eq!(
        (&renamed.added[..], &renamed.removed[..]),
        (&["basic".to_owned()][..], &["pro".to_owned()][..])
    );
    assert_eq!(renamed.terms, []);
}
