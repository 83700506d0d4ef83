//! Products and prices: <https://docs.stripe.com/api/products>, <https://docs.stripe.com/api/prices>.

use super::{Deed, Target, lines::Offer, named, referred};
use crate::{
    api::form::{Part, Read},
    objects::catalogue::{Price, Product},
};

pub(super) fn create_product(form: &Part<'_>, _: &Target<'_>) -> Read<Deed> {
    let name = form.needed("name")?.to_owned();
    let description = form.text("description")?.map(str::to_owned);
    let metadata = form.metadata()?.fresh();
    let active = form.boolean("active")?.unwrap_or(true);
    Ok(Box::new(move |clerk| {
        let nobody = clerk.customer(None);
        let product = clerk.play(nobody, |history| {
            let mut product = Product::new(history.short_id("prod"), history.now(), &name, 0);
            product.description = description;
            product.metadata = metadata;
            product.active = active;
            history.offer_product(&product);
            product
        });
        Ok((&product).into())
    }))
}

pub(super) fn update_product(form: &Part<'_>, target: &Target<'_>) -> Read<Deed> {
    let id = target.id.to_owned();
    let name = form.text("name")?.map(str::to_owned);
    let description = form.raw("description").map(str::to_owned);
    let default_price = form.text("default_price")?.map(str::to_owned);
    let metadata = form.metadata()?;
    let active = form.boolean("active")?;
    Ok(Box::new(move |clerk| {
        let mut product: Product = named(clerk, &id)?;
        if let Some(price) = &default_price {
            referred::<Price>(clerk, price, "default_price")?;
        }
        let nobody = clerk.customer(None);
        clerk.play(nobody, |history| {
            history.change_product(&mut product, |product| {
                product.name = name.unwrap_or_else(|| product.name.clone());
                if let Some(text) = description {
                    product.description = Some(text).filter(|text| !text.is_empty());
                }
                product.default_price = default_price.or_else(|| product.default_price.clone());
                metadata.apply(&mut product.metadata);
                product.active = active.unwrap_or(product.active);
            });
        });
        Ok((&product).into())
    }))
}

pub(super) fn create_price(form: &Part<'_>, _: &Target<'_>) -> Read<Deed> {
    let offer = Offer::read(form)?;
    let takes_key = form.boolean("transfer_lookup_key")?.unwrap_or(false);
    Ok(Box::new(move |clerk| {
        let holder = clerk.find::<Price>(|it| it.lookup_key.is_some() && it.lookup_key == offer.lookup_key);
        if let Some(mut holder) = holder {
            if !takes_key {
                let message =
                    "A price already uses that lookup key. Use `transfer_lookup_key` to take it over.";
                return Err(crate::api::errors::Reply::bad_parameter("lookup_key", message));
            }
            let nobody = clerk.customer(None);
            clerk.play(nobody, |history| {
                history.alter_price(&mut holder, |price| price.lookup_key = None);
            });
        }
        Ok((&offer.make(clerk)?).into())
    }))
}

pub(super) fn update_price(form: &Part<'_>, target: &Target<'_>) -> Read<Deed> {
    let id = target.id.to_owned();
    let lookup_key = form.text("lookup_key")?.map(str::to_owned);
    let nickname = form.text("nickname")?.map(str::to_owned);
    let metadata = form.metadata()?;
    let active = form.boolean("active")?;
    Ok(Box::new(move |clerk| {
        let mut price: Price = named(clerk, &id)?;
        let nobody = clerk.customer(None);
        clerk.play(nobody, |history| {
            history.alter_price(&mut price, |price| {
                price.lookup_key = lookup_key.or_else(|| price.lookup_key.take());
                price.nickname = nickname.or_else(|| price.nickname.take());
                metadata.apply(&mut price.metadata);
                price.active = active.unwrap_or(price.active);
            });
        });
        Ok((&price).into())
    }))
}
