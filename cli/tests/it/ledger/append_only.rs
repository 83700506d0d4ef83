//! What the database itself refuses, whoever asks.

use super::{TopUp, balance, refusal, sell, user};
use crate::support::Rig;

/// What is raised with `insufficient_privilege`.
const FORBIDDEN: &str = "42501";

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_is_not_changed_only_added_to() {
    let rig = Rig::new().await;
    let store = rig.store();
    sell(&store, &[TopUp::new("1", &user("u"), 100)]).await;
    store.spend("", "u", 10, "k", None).await.expect("spent");
    let everything = "SELECT md5(string_agg(row, ' ' ORDER BY row)) FROM (
        SELECT concat_ws(' ', xmin, t) AS row FROM ledger_transfers t
        UNION ALL SELECT concat_ws(' ', a.id, a.balance) FROM ledger_accounts a) AS rows";
    let before = rig.text(everything).await;
    for sql in [
        "UPDATE ledger_transfers SET amount = 1",
        "UPDATE ledger_transfers SET reason = 'another' WHERE false",
        "DELETE FROM ledger_transfers",
        "DELETE FROM ledger_transfers WHERE key = 'spend:k'",
        "TRUNCATE ledger_transfers",
        "TRUNCATE ledger_accounts CASCADE",
        "UPDATE ledger_accounts SET balance = balance + 1",
        "UPDATE ledger_accounts SET owner_id = 'v' WHERE owner_kind = 'user'",
        "DELETE FROM ledger_accounts",
        "INSERT INTO ledger_accounts (account, owner_kind, owner_id) VALUES ('', 'user', 'u')
             ON CONFLICT (account, owner_kind, owner_id) DO UPDATE SET balance = 1000",
        "INSERT INTO ledger_transfers (account, key, seq, kind, from_id, to_id, amount)
             SELECT account, key, seq, kind, from_id, to_id, amount FROM ledger_transfers
             ON CONFLICT (account, key, seq) DO UPDATE SET amount = 1000",
        // Nor from within a function.
        "DO $$ BEGIN UPDATE ledger_accounts SET balance = 0; END $$",
    ] {
        assert_eq!(refusal(&rig, sql).await, FORBIDDEN, "{sql}");
    }
    assert_eq!(rig.text(everything).await, before);
    // Who owns the tables can switch triggers off, and is found by the check: see `rules`.
}

/// A transfer between two accounts by name.
fn transfer(key: &str, kind: &str, from: &str, to: &str, amount: i64, more: &str) -> String {
    let id = |owner: &str| {
        let (kind, id) = owner.split_once(' ').expect("a kind and an id");
        format!("ledger_account_of('', '{kind}', '{id}')")
    };
    format!(
        "INSERT INTO ledger_transfers (account, key, seq, kind, from_id, to_id, amount, source_kind, source_id, user_id)
         VALUES ('', '{key}', 1, '{kind}', {}, {}, {amount}, {more})",
        id(from),
        id(to)
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_cannot_be_right_is_refused() {
    const NOTHING: &str = "NULL, NULL, NULL";
    const SOURCE: &str = "'invoice', 'in_1', NULL";
    const BY_U: &str = "NULL, NULL, 'u'";
    let rig = Rig::new().await;
    sell(&rig.store(), &[TopUp::new("1", &user("u"), 100)]).await;
    let transfers = rig.count("SELECT count(*) FROM ledger_transfers").await;
    let cases = [
        // One effect once.
        (transfer("topup:cs_1", "topup", "platform issued:0", "user u", 100, "'checkout.session', 'cs_1', NULL"),
         "ledger_transfers_account_key_seq_key"),
        // Between an owner and the platform's account for its kind.
        (transfer("k", "adjust", "user u", "user v", 1, NOTHING), "ledger_accounts_suit_kind"),
        (transfer("k", "adjust", "platform adjusted:0", "platform adjusted:1", 1, NOTHING), "ledger_accounts_suit_kind"),
        (transfer("k", "adjust", "platform issued:0", "user u", 1, NOTHING), "ledger_accounts_suit_kind"),
        (transfer("k", "grant", "platform spent:0", "user u", 1, SOURCE), "ledger_accounts_suit_kind"),
        (transfer("k", "refund", "user u", "platform held:0", 1, SOURCE), "ledger_accounts_suit_kind"),
        (transfer("k", "expire", "user u", "platform issued:0", 1, NOTHING), "ledger_accounts_suit_kind"),
        (transfer("k", "spend", "platform spent:0", "user u", 1, BY_U), "ledger_accounts_suit_kind"),
        (transfer("k", "release", "user u", "platform spent:0", 1, BY_U), "ledger_accounts_suit_kind"),
        (transfer("k", "release", "platform issued:0", "user u", 1, BY_U), "ledger_accounts_suit_kind"),
        // Nothing is spent that is not there.
        (transfer("k", "spend", "user u", "platform spent:0", 101, BY_U), "ledger_spend_within_balance"),
        // Neither nothing, nor to oneself, nor of an unknown kind.
        (transfer("k", "adjust", "platform adjusted:0", "user u", 0, NOTHING), "ledger_transfers_amount_check"),
        (transfer("k", "adjust", "platform adjusted:0", "user u", -1, NOTHING), "ledger_transfers_amount_check"),
        (transfer("k", "adjust", "user u", "user u", 1, NOTHING), "ledger_transfers_check"),
        (transfer("k", "gift", "platform adjusted:0", "user u", 1, NOTHING), "ledger_transfers_kind_check"),
        // Who spent it, and what was paid, are said where they matter and nowhere else.
        (transfer("k", "spend", "user u", "platform spent:0", 1, NOTHING), "ledger_transfers_user_check"),
        (transfer("k", "adjust", "platform adjusted:0", "user u", 1, BY_U), "ledger_transfers_user_check"),
        (transfer("k", "release", "platform spent:0", "user u", 1, NOTHING), "ledger_transfers_user_check"),
        (transfer("k", "grant", "platform issued:0", "user u", 1, NOTHING), "ledger_transfers_check2"),
        (transfer("k", "adjust", "platform adjusted:0", "user u", 1, SOURCE), "ledger_transfers_check2"),
        // Nobody begins with something.
        ("INSERT INTO ledger_accounts (account, owner_kind, owner_id, balance) VALUES ('', 'user', 'w', 1)".to_owned(),
         "23514"),
        ("INSERT INTO ledger_accounts (account, owner_kind, owner_id) VALUES ('', 'guest', 'w')".to_owned(),
         "ledger_accounts_owner_kind_check"),
    ];
    for (sql, wanted) in cases {
        assert_eq!(refusal(&rig, &sql).await, wanted, "{sql}");
    }
    assert_eq!(
        rig.count("SELECT count(*) FROM ledger_transfers").await,
        transfers
    );
    assert_eq!(balance(&rig, &user("u")).await, 100);

    // And one that can: by hand, with a reason of a person's.
    rig.execute(&transfer(
        "k",
        "adjust",
        "platform adjusted:0",
        "user u",
        1,
        NOTHING,
    ))
    .await;
    assert_eq!(balance(&rig, &user("u")).await, 101);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_transfers_in_one_statement_all_or_none_count() {
    let rig = Rig::new().await;
    sell(&rig.store(), &[TopUp::new("1", &user("u"), 100)]).await;
    let twice = |amount: i64| {
        format!(
            "INSERT INTO ledger_transfers (account, key, seq, kind, from_id, to_id, amount, user_id)
             SELECT '', 'spend:k', n, 'spend', ledger_account_of('', 'user', 'u'),
                    ledger_account_of('', 'platform', 'spent:0'), {amount}, 'u' FROM generate_series(1, 2) AS n"
        )
    };
    assert_eq!(refusal(&rig, &twice(51)).await, "ledger_spend_within_balance");
    assert_eq!(balance(&rig, &user("u")).await, 100);
    rig.execute(&twice(50)).await;
    assert_eq!(balance(&rig, &user("u")).await, 0);
}
