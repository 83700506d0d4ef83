//! Customers: <https://docs.stripe.com/api/customers>.

use serde_json::Value;

use super::{Deed, Target, named};
use crate::{
    api::{
        errors::Reply,
        form::{Changes, Part, Read},
    },
    json::merge,
    objects::{customer::Customer, subscription::Subscription},
};

/// What may be said about a customer.
struct Said {
    email: Option<String>,
    name: Option<String>,
    metadata: Changes,
    extra: Value,
}

impl Said {
    fn read(form: &Part<'_>) -> Read<Self> {
        let text = |key| form.raw(key).map(str::to_owned);
        let email = text("email");
        if email
            .as_deref()
            .is_some_and(|email| !email.is_empty() && !email.contains('@'))
        {
            return Err(Reply::bad_parameter("email", "Invalid email address."));
        }
        Ok(Self {
            email,
            name: text("name"),
            metadata: form.metadata()?,
            extra: form.extra(&["description", "phone"])?,
        })
    }

    /// An empty text takes away what was there.
    fn apply(self, customer: &mut Customer) {
        let set = |member: &mut Option<String>, said: Option<String>| {
            if let Some(text) = said {
                *member = Some(text).filter(|text| !text.is_empty());
            }
        };
        set(&mut customer.email, self.email);
        set(&mut customer.name, self.name);
        self.metadata.apply(&mut customer.metadata);
        customer.extra = merge([customer.extra.take(), self.extra]);
    }
}

pub(super) fn create(form: &Part<'_>, _: &Target<'_>) -> Read<Deed> {
    let said = Said::read(form)?;
    Ok(Box::new(move |clerk| {
        let mut customer = Customer::nobody();
        said.apply(&mut customer);
        let customer = clerk.play(customer, |history| history.welcome());
        Ok((&customer).into())
    }))
}

pub(super) fn update(form: &Part<'_>, target: &Target<'_>) -> Read<Deed> {
    let (said, id) = (Said::read(form)?, target.id.to_owned());
    Ok(Box::new(move |clerk| {
        let customer: Customer = named(clerk, &id)?;
        if customer.deleted {
            return Err(Reply::missing("customer", &id));
        }
        let customer = clerk.play(customer, |history| {
            history.change_customer(|customer| said.apply(customer))
        });
        Ok((&customer).into())
    }))
}

pub(super) fn delete(_: &Part<'_>, target: &Target<'_>) -> Read<Deed> {
    let id = target.id.to_owned();
    Ok(Box::new(move |clerk| {
        let customer: Customer = named(clerk, &id)?;
        if customer.deleted {
            return Err(Reply::missing("customer", &id));
        }
        let over = |it: &Subscription| matches!(it.status, "canceled" | "incomplete_expired");
        let mut running = clerk.all::<Subscription>(|it| it.customer == id && !over(it));
        clerk.play(customer, |history| history.delete_customer(&mut running));
        let customer: Customer = named(clerk, &id)?;
        Ok((&customer).into())
    }))
}
