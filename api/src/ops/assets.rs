//! What pages are dressed in: files of this repository, inside the binary.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::fault::Fault;
use crate::problem::Kind;

/// For as long as browsers keep anything: another content has another address.
const KEPT: &str = "public, max-age=31536000, immutable";

/// A file, under a name that says what is in it.
pub(super) struct Asset {
    stem: &'static str,
    extension: &'static str,
    kind: &'static str,
    content: &'static str,
}

pub(super) static STYLE: LazyLock<Named> = LazyLock::new(|| {
    Named::of(Asset {
        stem: "ops",
        extension: "css",
        kind: "text/css; charset=utf-8",
        content: include_str!("assets/ops.css"),
    })
});
pub(super) static SCRIPT: LazyLock<Named> = LazyLock::new(|| {
    Named::of(Asset {
        stem: "ops",
        extension: "js",
        kind: "text/javascript; charset=utf-8",
        content: include_str!("assets/ops.js"),
    })
});

/// An asset and its name.
pub(super) struct Named {
    name: String,
    asset: Asset,
}

impl Named {
    fn of(asset: Asset) -> Self {
        let digest = hex::encode(Sha256::digest(asset.content));
        Self {
            name: format!("{}.{}.{}", asset.stem, &digest[..12], asset.extension),
            asset,
        }
    }

    pub(super) fn address(&self) -> String {
        format!("/ops/assets/{}", self.name)
    }
}

/// A file.
pub(super) async fn asset(Path(name): Path<String>) -> Result<Response, Fault> {
    let all = [&*STYLE, &*SCRIPT];
    let found = all
        .into_iter()
        .find(|it| it.name == name)
        .ok_or(Kind::NOT_FOUND)?;
    let headers = [
        (header::CONTENT_TYPE, found.asset.kind),
        (header::CACHE_CONTROL, KEPT),
    ];
    Ok((headers, found.asset.content).into_response())
}
