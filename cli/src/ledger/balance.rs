//! `tollgate ledger balance`.

use std::collections::BTreeMap;
use std::error::Error;
use std::process::ExitCode;

use domain::credits::Owner;
use serde::Serialize;
use store::Balance;

use super::{Shown, Whose};
use crate::{answer, tool};

/// What `tollgate ledger balance` takes.
#[derive(clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    shown: Shown,
}

#[derive(Serialize)]
struct Answer<'a> {
    account: &'a str,
    owner_kind: &'static str,
    owner_id: &'a str,
    /// Below zero when some were taken back after they were spent.
    balance: i64,
    /// Of a user, what each of their teams has.
    teams: BTreeMap<&'a str, i64>,
    /// What can be spent now; of a team, by its members.
    available: i64,
}

pub(super) fn main(options: &Options) -> ExitCode {
    tool::run(worker::config::database_url, |url| run(options, url))
}

async fn run(options: &Options, url: String) -> Result<ExitCode, Box<dyn Error>> {
    let store = tool::open(&url).await?;
    let Shown { account, json } = &options.shown;
    let owner = options.whose.owner();
    let balance = match &owner {
        Owner::User(user) => store.balance_of(account, user).await?,
        Owner::Team(_) => Balance {
            own: store.credits_of(account, &owner).await?,
            teams: Vec::new(),
        },
    };
    store.close().await;
    let result = Answer {
        account,
        owner_kind: owner.kind(),
        owner_id: owner.id(),
        balance: balance.own,
        teams: balance
            .teams
            .iter()
            .map(|(team, credits)| (team.as_str(), *credits))
            .collect(),
        available: balance.available(),
    };
    answer(&if *json {
        tool::json(&result)
    } else {
        in_words(&result)
    });
    Ok(ExitCode::SUCCESS)
}

fn in_words(result: &Answer<'_>) -> String {
    let mut lines = vec![format!(
        "{:>10}  {} {}",
        result.balance, result.owner_kind, result.owner_id
    )];
    let teams = result.teams.iter();
    lines.extend(teams.map(|(team, credits)| format!("{credits:>10}  team {team}")));
    lines.push(format!("{:>10}  can be spent", result.available));
    lines.join("\n")
}
