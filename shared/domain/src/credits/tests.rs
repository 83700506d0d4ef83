use super::*;

fn invoice(billing_reason: &str, lines: Vec<Line>) -> Source {
    Source {
        kind: SourceKind::Invoice,
        id: "in_1".into(),
        owner: Some(Owner::User("u".into())),
        basis: GrantBasis::Invoice {
            billing_reason: billing_reason.into(),
            lines,
            complete: true,
        },
        amount_paid: 2000,
        payments: Vec::new(),
    }
}

fn line(amount: i64, proration: bool, credits: i64, unit_amount: i64) -> Line {
    Line {
        amount,
        quantity: 1,
        proration,
        price_id: Some("price_1".into()),
        terms: Some(Terms {
            credits,
            unit_amount: Some(unit_amount),
        }),
    }
}

fn top_up(credits: i64, amount_paid: i64, payments: Vec<PaymentFacts>) -> Source {
    Source {
        kind: SourceKind::CheckoutSession,
        id: "cs_1".into(),
        owner: Some(Owner::User("u".into())),
        basis: GrantBasis::TopUp(Some(credits)),
        amount_paid,
        payments,
    }
}

fn payment(paid: i64) -> PaymentFacts {
    PaymentFacts {
        id: "pi_1".into(),
        paid,
        ..PaymentFacts::default()
    }
}

fn refund(amount: i64, status: &str, as_of: i64) -> RefundFacts {
    RefundFacts {
        charge_id: Some("ch_1".into()),
        amount,
        status: status.into(),
        as_of,
    }
}

fn charge(amount_refunded: i64, as_of: i64) -> ChargeFacts {
    ChargeFacts {
        id: "ch_1".into(),
        amount_refunded,
        as_of,
    }
}

fn dispute(amount: i64, status: &str) -> DisputeFacts {
    DisputeFacts {
        amount,
        status: status.into(),
    }
}

fn granted(source: &Source) -> Result<i64, Problem> {
    let reckoned = source.reckon(&Policy::default());
    reckoned.problem.map_or(Ok(reckoned.granted), Err)
}

#[test]
fn a_full_period_grants_by_gross_line_amounts() {
    let of = |lines| granted(&invoice("subscription_cycle", lines));
    assert_eq!(of(vec![line(2000, false, 2000, 2000)]), Ok(2000));
    assert_eq!(of(vec![line(0, false, 2000, 2000)]), Ok(0), "a trial");
    assert_eq!(of(vec![line(2000, true, 2000, 2000)]), Ok(0), "a proration");
    let two = Line {
        quantity: 2,
        ..line(4000, false, 2000, 2000)
    };
    assert_eq!(of(vec![two, line(500, false, 10, 500)]), Ok(4010));
    let mut free = invoice("subscription_create", vec![line(2000, false, 2000, 2000)]);
    free.amount_paid = 0;
    assert_eq!(granted(&free), Ok(2000), "a coupon for everything");
}

#[test]
fn a_change_of_plan_grants_in_proportion_to_money() {
    let upgrade = vec![line(-1000, true, 2000, 2000), line(2500, true, 6000, 5000)];
    assert_eq!(
        granted(&invoice("subscription_update", upgrade.clone())),
        Ok(2000)
    );
    let downgrade = vec![line(-2500, true, 6000, 5000), line(1000, true, 2000, 2000)];
    assert_eq!(
        granted(&invoice("subscription_update", downgrade)),
        Ok(0),
        "never below zero"
    );
    // Rounded once, at the end: 1/3 + 2/3 is a whole credit.
    let thirds = vec![line(1, true, 1, 3), line(2, true, 1, 3)];
    assert_eq!(granted(&invoice("subscription_update", thirds)), Ok(1));
    let different = vec![line(1, true, 1, 3), line(1, true, 1, 6), line(1, true, 1, 2)];
    assert_eq!(granted(&invoice("subscription_update", different)), Ok(1));
    let policy = Policy {
        upgrade: crate::Upgrade::Nothing,
        ..Policy::default()
    };
    assert_eq!(
        invoice("subscription_update", upgrade).reckon(&policy),
        Reckoned::default()
    );
}

#[test]
fn other_invoices_grant_nothing() {
    for reason in ["manual", "subscription_threshold", "of the future", ""] {
        assert_eq!(
            granted(&invoice(reason, vec![line(2000, false, 2000, 2000)])),
            Ok(0),
            "{reason}"
        );
    }
}

#[test]
fn what_cannot_be_known_is_a_problem_with_a_name() {
    let unknown = Line {
        terms: None,
        ..line(2000, false, 0, 0)
    };
    assert_eq!(
        granted(&invoice("subscription_cycle", vec![unknown.clone()])),
        Err(Problem::UnknownPrice("price_1".into()))
    );
    // A line that would not grant anything does not need its price.
    assert_eq!(
        granted(&invoice(
            "subscription_cycle",
            vec![Line { amount: 0, ..unknown }]
        )),
        Ok(0)
    );
    let priced = vec![line(10, true, 5, 0)];
    assert_eq!(
        granted(&invoice("subscription_update", priced)),
        Err(Problem::UnpricedProration("price_1".into()))
    );
    let mut nobody = top_up(10, 10, Vec::new());
    nobody.owner = None;
    assert_eq!(granted(&nobody), Err(Problem::UnknownOwner));
    nobody.basis = GrantBasis::TopUp(None);
    assert_eq!(granted(&nobody), Err(Problem::BadCredits));
    let huge = Line {
        quantity: i64::MAX,
        ..line(1, false, i64::MAX, 1)
    };
    assert_eq!(
        granted(&invoice("subscription_cycle", vec![huge])),
        Err(Problem::TooMany)
    );
}

fn reversed(payments: Vec<PaymentFacts>) -> (i64, i64) {
    let reckoned = top_up(1000, 1000, payments).reckon(&Policy::default());
    (reckoned.refunded, reckoned.disputed)
}

#[test]
fn refunds_take_back_in_proportion() {
    let with = |charges: Vec<ChargeFacts>, refunds: Vec<RefundFacts>| {
        reversed(vec![PaymentFacts {
            charges,
            refunds,
            ..payment(1000)
        }])
    };
    assert_eq!(
        with(
            vec![],
            vec![refund(250, "succeeded", 5), refund(500, "pending", 6)]
        ),
        (750, 0)
    );
    assert_eq!(
        with(vec![charge(750, 6)], vec![]),
        (750, 0),
        "old versions send only the charge"
    );
    assert_eq!(
        with(vec![charge(1000, 6)], vec![refund(1000, "failed", 7)]),
        (0, 0),
        "failed afterwards"
    );
    assert_eq!(
        with(vec![charge(1000, 6)], vec![refund(1000, "failed", 5)]),
        (1000, 0),
        "failed before"
    );
    assert_eq!(
        with(vec![charge(300, 6)], vec![refund(500, "succeeded", 4)]),
        (500, 0),
        "whichever is more"
    );
    assert_eq!(
        with(vec![charge(5000, 6)], vec![]),
        (1000, 0),
        "never more than was paid"
    );
    assert_eq!(
        with(vec![charge(i64::MAX, 6), charge(i64::MAX, 7)], vec![]),
        (1000, 0)
    );
    let odd = top_up(
        7,
        1000,
        vec![PaymentFacts {
            refunds: vec![refund(999, "succeeded", 1)],
            ..payment(1000)
        }],
    );
    assert_eq!(odd.reckon(&Policy::default()).refunded, 6, "rounded down");
}

#[test]
fn disputes_hold_then_take_or_give_back() {
    let with = |status: &str| {
        let facts = PaymentFacts {
            disputes: vec![dispute(1000, status)],
            ..payment(1000)
        };
        let reckoned = top_up(1000, 1000, vec![facts]).reckon(&Policy::default());
        let side = |side| {
            let targets = reckoned
                .targets
                .iter()
                .filter(|target| target.place.key == "dispute:pi_1");
            targets
                .filter(|target| target.place.side == side)
                .map(|target| target.credits)
                .sum::<i64>()
        };
        (side(Side::Held), side(Side::Issued))
    };
    for status in ["needs_response", "under_review", "appeal_needs_response"] {
        assert_eq!(with(status), (-1000, 0), "{status}");
    }
    assert_eq!(with("lost"), (0, -1000));
    for status in [
        "won",
        "warning_needs_response",
        "warning_closed",
        "prevented",
        "of the future",
    ] {
        assert_eq!(with(status), (0, 0), "{status}");
    }
}

#[test]
fn refund_and_dispute_together_take_no_more_than_was_granted() {
    let facts = PaymentFacts {
        refunds: vec![refund(300, "succeeded", 1)],
        disputes: vec![dispute(1000, "needs_response"), dispute(200, "lost")],
        ..payment(1000)
    };
    assert_eq!(reversed(vec![facts]), (300, 700));
}

#[test]
fn each_payment_answers_for_its_own_part() {
    let half = |id: &str, refunds| PaymentFacts {
        id: id.into(),
        paid: 500,
        refunds,
        ..PaymentFacts::default()
    };
    let payments = vec![
        half("pi_1", vec![refund(500, "succeeded", 1)]),
        half("pi_2", vec![]),
    ];
    let reckoned = top_up(1000, 1000, payments).reckon(&Policy::default());
    let keys: Vec<_> = reckoned
        .targets
        .iter()
        .map(|target| (target.place.key.as_str(), target.credits))
        .collect();
    assert_eq!(keys, [("topup:cs_1", 1000), ("refund:pi_1", -500)]);
}

#[test]
fn the_ledger_is_moved_to_its_targets() {
    let source = top_up(
        1000,
        1000,
        vec![PaymentFacts {
            refunds: vec![refund(250, "succeeded", 1)],
            ..payment(1000)
        }],
    );
    let targets = source.reckon(&Policy::default()).targets;
    let first = transfers(&targets, &Posted::default());
    let moved: Vec<_> = first
        .iter()
        .map(|it| (it.place.key.as_str(), it.credits))
        .collect();
    assert_eq!(moved, [("refund:pi_1", -250), ("topup:cs_1", 1000)]);

    let posted: Posted = first.into_iter().map(|it| (it.place, it.credits)).collect();
    assert!(
        transfers(&targets, &posted).is_empty(),
        "what is there is not posted again"
    );

    // The credits turn out to be another user's: they move, and nothing is forgotten.
    let mut other = source;
    other.owner = Some(Owner::User("v".into()));
    let corrections = transfers(&other.reckon(&Policy::default()).targets, &posted);
    let moved: Vec<_> = corrections
        .iter()
        .map(|it| (it.place.key.as_str(), it.place.owner.id(), it.credits))
        .collect();
    let expected = [
        ("refund:pi_1", "u", 250),
        ("refund:pi_1", "v", -250),
        ("topup:cs_1", "u", -1000),
        ("topup:cs_1", "v", 1000),
    ];
    assert_eq!(moved, expected);
}

#[test]
fn every_problem_has_its_word() {
    let price = || "price_1".to_owned();
    let all = [
        Problem::UnknownOwner,
        Problem::UnknownPrice(price()),
        Problem::UnpricedProration(price()),
        Problem::IncompleteLines,
        Problem::BadCredits,
        Problem::TooMany,
    ];
    assert_eq!(all.map(|problem| problem.as_str().to_owned()), Problem::WORDS);
}
