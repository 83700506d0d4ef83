//! What a catalogue file says, understood: every rule about an entry is here.

use std::collections::BTreeMap;

use domain::objects::PriceTerms;
use serde::Serialize;
use serde_json::Value;
use shared::suggest::hint;
use store::OfferRow;

use super::entry::{Entry, entries};
use super::finding::Finding;
use super::tree::{Member, Node, Table};

/// Members of an entry, and of which kinds.
const MEMBERS: [(&str, &[Kind]); 11] = [
    ("name", &[Kind::Plan, Kind::Package]),
    ("price", &[Kind::Plan, Kind::Package]),
    ("product", &[Kind::Plan, Kind::Package]),
    ("credits", &[Kind::Plan, Kind::Package]),
    ("free_monthly_credits", &[Kind::Plan]),
    ("credits_expire_days", &[Kind::Plan, Kind::Package]),
    ("unit_amount", &[Kind::Plan, Kind::Package]),
    ("currency", &[Kind::Plan, Kind::Package]),
    ("interval", &[Kind::Plan]),
    ("active", &[Kind::Plan, Kind::Package]),
    ("lookup_key", &[]), // only of those that stand under their price's id
];
/// How often a plan is paid.
const INTERVALS: [&str; 4] = ["day", "week", "month", "year"];
/// How ids of prices begin; those of prices that were made as plans keep their beginning.
const PRICE_PREFIXES: [&str; 2] = ["price_", "plan_"];
/// Longest name, in bytes.
const NAME_BYTES_MAX: usize = 100;

/// What is sold.
#[derive(Serialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// A subscription.
    Plan,
    /// Credits, bought once.
    Package,
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Package => "package",
        }
    }
}

/// Something that is for sale.
#[derive(Serialize, Debug, Clone, PartialEq, Eq)]
pub(super) struct Offer {
    #[serde(skip)]
    pub line: Option<usize>,
    pub kind: Kind,
    pub name: String,
    pub price: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    pub credits: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free_monthly_credits: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credits_expire_days: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit_amount: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    pub active: bool,
}

impl Offer {
    /// How it is called in findings.
    pub(super) fn label(&self) -> String {
        format!("{} {}", self.kind.as_str(), self.name)
    }

    /// The whole entry.
    pub(super) fn definition(&self) -> Value {
        serde_json::to_value(self).expect("texts and integers always serialise")
    }

    /// What the file says about the price.
    pub(super) fn terms(&self) -> PriceTerms {
        PriceTerms {
            price_id: self.price.clone(),
            credits: self.credits,
            free_monthly: self.free_monthly_credits.unwrap_or(0),
            expire_days: self.credits_expire_days,
            unit_amount: self.unit_amount,
            currency: self.currency.clone(),
        }
    }

    /// The row that says so.
    pub(super) fn row(&self) -> OfferRow {
        OfferRow {
            name: self.name.clone(),
            kind: self.kind.as_str().to_owned(),
            price_id: self.price.clone(),
            product_id: self.product.clone(),
            credits: self.credits,
            active: self.active,
            definition: self.definition().to_string(),
        }
    }
}

/// Understands a file. Finds everything that is wrong with it; the offers are those with which nothing is.
pub(super) fn offers(file: Table) -> (Vec<Offer>, Vec<Finding>) {
    let (entries, mut findings) = entries(file);
    let mut taken = Taken::default();
    let offers = entries
        .iter()
        .filter_map(|entry| offer(entry, &mut taken, &mut findings))
        .collect();
    findings.sort_by_key(|finding| finding.line);
    (offers, findings)
}

/// Names and prices, and which entries they belong to.
#[derive(Default)]
struct Taken(BTreeMap<(&'static str, String), String>);

fn offer(entry: &Entry, taken: &mut Taken, findings: &mut Vec<Finding>) -> Option<Offer> {
    let before = findings.len();
    let mut fields = Fields { entry, findings };
    fields.refuse_unknown();
    let offer = Offer {
        line: entry.table.line,
        kind: entry.kind,
        name: fields.name(taken).unwrap_or_default(),
        price: fields.price(taken).unwrap_or_default(),
        product: fields.product(),
        credits: fields.credits().unwrap_or_default(),
        free_monthly_credits: fields.whole("free_monthly_credits", 0),
        credits_expire_days: fields.days("credits_expire_days"),
        unit_amount: fields.whole("unit_amount", 0),
        currency: fields.currency(),
        interval: fields.interval(),
        active: fields.flag("active").unwrap_or(true),
    };
    (findings.len() == before).then_some(offer)
}

/// The members of an entry, read one by one; what is wrong is noted.
struct Fields<'a> {
    entry: &'a Entry,
    findings: &'a mut Vec<Finding>,
}

impl Fields<'_> {
    fn wrong(&mut self, member: Option<&Member>, text: impl Into<String>) {
        let line = member.and_then(|member| member.line).or(self.entry.table.line);
        self.findings
            .push(Finding::error(line, Some(&self.entry.label), text));
    }

    /// Members nobody reads would silently leave a default in place; of those that are there twice, one would.
    fn refuse_unknown(&mut self) {
        let Entry {
            kind,
            by_price,
            table,
            ..
        } = self.entry;
        let is_own = |kinds: &[Kind]| kinds.contains(kind) || (*by_price && kinds.is_empty());
        let own = MEMBERS.iter().filter(|(_, kinds)| is_own(kinds));
        let own: Vec<&str> = own.map(|(name, _)| *name).collect();
        for (position, member) in table.members.iter().enumerate() {
            let name = member.name.as_str();
            let of_others = MEMBERS
                .iter()
                .any(|(other, kinds)| *other == name && !kinds.is_empty());
            if table.members[..position]
                .iter()
                .any(|earlier| earlier.name == name)
            {
                self.wrong(Some(member), format!("`{name}` is there twice"));
            } else if own.contains(&name) || (of_others && table.get(name).is_none()) {
                // Fine, or JSON's null, which says nothing.
            } else if of_others {
                self.wrong(
                    Some(member),
                    format!("`{name}` is for plans, and this is a {}", kind.as_str()),
                );
            } else {
                self.wrong(Some(member), format!("`{name}` is no member{}", hint(name, &own)));
            }
        }
    }

    fn text(&mut self, name: &str) -> Option<String> {
        let member = self.entry.table.get(name)?;
        match &member.value {
            Node::Scalar(Value::String(text)) if !text.trim().is_empty() => Some(text.clone()),
            _ => {
                self.wrong(Some(member), format!("{name}: must be a text, in quotes"));
                None
            }
        }
    }

    fn required(&mut self, name: &str) -> Option<String> {
        if self.entry.table.get(name).is_none() {
            self.wrong(None, format!("{name} is missing"));
        }
        self.text(name)
    }

    fn flag(&mut self, name: &str) -> Option<bool> {
        let member = self.entry.table.get(name)?;
        if let Node::Scalar(Value::Bool(flag)) = &member.value {
            return Some(*flag);
        }
        self.wrong(Some(member), format!("{name}: must be true or false"));
        None
    }

    fn whole(&mut self, name: &str, min: i64) -> Option<i64> {
        let member = self.entry.table.get(name)?;
        match &member.value {
            Node::Scalar(value) if value.as_i64().is_some_and(|number| number >= min) => value.as_i64(),
            Node::Scalar(value) => {
                self.wrong(
                    Some(member),
                    format!("{name}: {value} is no whole number from {min} up, without quotes"),
                );
                None
            }
            _ => {
                self.wrong(
                    Some(member),
                    format!("{name}: must be a whole number from {min} up"),
                );
                None
            }
        }
    }

    fn days(&mut self, name: &str) -> Option<i32> {
        let days = self.whole(name, 1)?;
        let fits = i32::try_from(days).ok();
        if fits.is_none() {
            let member = self.entry.table.get(name);
            self.wrong(member, format!("{name}: {days} is more than {}", i32::MAX));
        }
        fits
    }

    /// A package of nothing is nothing; a plan may be about something else than credits.
    fn credits(&mut self) -> Option<i64> {
        if self.entry.table.get("credits").is_none() {
            self.wrong(None, "credits is missing");
        }
        let min = i64::from(self.entry.kind == Kind::Package);
        self.whole("credits", min)
    }

    fn name(&mut self, taken: &mut Taken) -> Option<String> {
        // The name of what stands under its price's id; its type is looked at here.
        let _key = self.text("lookup_key");
        let name = self.required("name")?;
        let member = self.entry.table.get("name");
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if !name.bytes().all(is_plain) || name.len() > NAME_BYTES_MAX {
            self.wrong(
                member,
                format!("name: use letters, digits and -_. only, at most {NAME_BYTES_MAX}"),
            );
        } else if !self.entry.by_price && name.starts_with(PRICE_PREFIXES[0]) {
            self.wrong(member, "name: choose one of your own: clients never name prices");
        }
        self.once("name", &name, taken);
        Some(name)
    }

    fn price(&mut self, taken: &mut Taken) -> Option<String> {
        let price = self.required("price")?;
        let rest = PRICE_PREFIXES
            .iter()
            .find_map(|prefix| price.strip_prefix(prefix));
        let is_id =
            |rest: &str| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !rest.is_some_and(is_id) {
            let member = self.entry.table.get("price");
            self.wrong(
                member,
                format!("price: {price:?} is no price's id such as price_1SPm3dKd9Lm2Qx7T"),
            );
        }
        self.once("price", &price, taken);
        Some(price)
    }

    /// Notes that this entry has it, and that no other may.
    fn once(&mut self, what: &'static str, value: &str, taken: &mut Taken) {
        let label = self.entry.label.clone();
        if let Some(other) = taken.0.insert((what, value.to_owned()), label) {
            let line = self.entry.table.get(what);
            self.wrong(line, format!("{what}: {value} is also that of {other}"));
        }
    }

    fn product(&mut self) -> Option<String> {
        let product = self.text("product")?;
        if product.contains(char::is_whitespace) || PRICE_PREFIXES.iter().any(|it| product.starts_with(it)) {
            let member = self.entry.table.get("product");
            self.wrong(
                member,
                format!("product: {product:?} is no product's id such as prod_TPro00000000Pr"),
            );
        }
        Some(product)
    }

    /// An amount says nothing without its currency.
    fn currency(&mut self) -> Option<String> {
        let amount = self.entry.table.get("unit_amount");
        let Some(currency) = self.text("currency") else {
            if amount.is_some() && self.entry.table.get("currency").is_none() {
                self.wrong(amount, "unit_amount needs a currency");
            }
            return None;
        };
        if currency.len() != 3 || !currency.bytes().all(|b| b.is_ascii_lowercase()) {
            let member = self.entry.table.get("currency");
            let text = format!("currency: {currency:?} is no code of three small letters such as usd");
            self.wrong(member, text);
        }
        Some(currency)
    }

    fn interval(&mut self) -> Option<String> {
        let interval = self.text("interval")?;
        if !INTERVALS.contains(&interval.as_str()) {
            let member = self.entry.table.get("interval");
            let known = INTERVALS.join(", ");
            let text = format!(
                "interval: {interval:?} is none of {known}{}",
                hint(&interval, &INTERVALS)
            );
            self.wrong(member, text);
        }
        Some(interval)
    }
}

/// The members an entry may have, for the test that compares them with the documentation.
#[cfg(test)]
pub(super) fn members() -> impl Iterator<Item = &'static str> {
    MEMBERS.iter().map(|(name, _)| *name)
}
