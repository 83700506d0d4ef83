//! `expand[]`: objects instead of their ids. Source: <https://docs.stripe.com/expand>.

use serde_json::Value;

use super::{caller::Caller, errors::Reply, form::Read};
use crate::shop::Model;

/// The first part of ids, and the kind of object behind them.
const KINDS: [(&str, &str); 12] = [
    ("ch_", "charge"),
    ("cs_", "checkout.session"),
    ("cus_", "customer"),
    ("du_", "dispute"),
    ("in_", "invoice"),
    ("pi_", "payment_intent"),
    ("price_", "price"),
    ("prod_", "product"),
    ("py_", "charge"),
    ("pyr_", "refund"),
    ("re_", "refund"),
    ("sub_", "subscription"),
];
/// Deepest path. Source: <https://docs.stripe.com/expand#how-it-works>.
const DEPTH_MAX: usize = 4;

/// Puts objects into `value` where `paths` lead.
pub(super) fn expand(model: &Model, caller: &Caller<'_>, paths: &[&str], value: &mut Value) -> Read<()> {
    for path in paths {
        let steps: Vec<&str> = path.split('.').collect();
        if steps.len() > DEPTH_MAX {
            let message =
                format!("You cannot expand more than {DEPTH_MAX} levels of a property. Property: {path}");
            return Err(Reply::bad_parameter("expand", &message));
        }
        follow(model, caller, &steps, value).ok_or_else(|| {
            let message = format!("This property cannot be expanded ({path}).");
            Reply::bad_parameter("expand", &message)
        })?;
    }
    Ok(())
}

fn follow(model: &Model, caller: &Caller<'_>, steps: &[&str], value: &mut Value) -> Option<()> {
    let Some((step, rest)) = steps.split_first() else {
        return Some(());
    };
    if let Value::Array(rows) = value {
        return rows
            .iter_mut()
            .try_for_each(|row| follow(model, caller, steps, row));
    }
    let member = value.get_mut(*step)?;
    if let Some(id) = member.as_str() {
        let (_, object) = KINDS.iter().find(|(prefix, _)| id.starts_with(prefix))?;
        if let Some(found) = model.object(caller.account, object, id, caller.version) {
            *member = found;
        }
    }
    if member.is_null() {
        return Some(());
    }
    follow(model, caller, rest, member)
}
