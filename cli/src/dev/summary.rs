//! What the demo showed, for a person or for a script.

use shared::clock::Clock;
use store::StoreError;

use super::Options;
use super::demo::DemoResult;
use super::processes::Processes;
use super::services::{Services, fresh_seed};
use crate::answer;

/// Shows the result on stdout.
pub(super) async fn show(
    options: &Options,
    services: &Services,
    processes: &Processes,
    result: &DemoResult,
) -> Result<(), StoreError> {
    if options.json {
        answer(&serde_json::to_string(result).expect("numbers always serialise"));
        return Ok(());
    }
    answer(&numbers(result));
    for table in services.store.examples().await? {
        let example = table.example.unwrap_or_default();
        answer(&format!(
            "  {:<16} {:>7} rows   {example}",
            table.table, table.rows
        ));
    }
    answer(&places(services, processes));
    Ok(())
}

fn numbers(result: &DemoResult) -> String {
    let ms = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |ms| format!("{ms} ms"));
    let verdict = match (result.lost, result.given_up) {
        (0, 0) => "nothing lost".to_owned(),
        (0, given_up) => format!("nothing lost, {given_up} deliveries not accepted"),
        (lost, _) => format!("{lost} EVENTS LOST"),
    };
    format!(
        "\n  sent       {:>7} deliveries of {} events in {} s\n  accepted   {:>7}\n  applied    {:>7} events\n  \
         ignored    {:>7}\n  parked     {:>7}\n  lost       {:>7}   {verdict}\n  \
         acceptance to commit: p50 {}, p99 {}\n",
        result.sent,
        result.distinct,
        result.seconds,
        result.accepted,
        result.applied,
        result.ignored,
        result.parked,
        result.lost,
        ms(result.p50_ms),
        ms(result.p99_ms),
    )
}

/// Where everything is, and a delivery to paste.
pub(super) fn places(services: &Services, processes: &Processes) -> String {
    let now = Clock::system().unix_seconds();
    let body = simulator::curl::example_event(fresh_seed(&Clock::system()), now);
    let curl = simulator::curl(&processes.ingest_url, &services.secret, &body, now);
    let workers: Vec<String> = processes
        .worker_admin_urls()
        .map(|url| format!("{url}/metrics"))
        .collect();
    format!(
        "\n  webhooks   {}\n  secret     {}\n  api        {}/docs\n  ops page   {}\n  ingest     {}/readyz  {}/metrics\n  workers    {}\n  \
         postgres   psql {}\n  redis      redis-cli -u {}\n  logs       {}\n\n  \
         Send one yourself (the signature is good for five minutes):\n\n{curl}\n{}",
        processes.ingest_url,
        services.secret.expose(),
        processes.api_url,
        ops_page(services, processes),
        processes.admin_url,
        processes.admin_url,
        workers.join("  "),
        services.database_url,
        services.redis_url,
        services.log_dir.display(),
        ask(services, processes),
    )
}

/// A question to paste, where we can make a token.
fn ask(services: &Services, processes: &Processes) -> String {
    services.tokens.as_ref().map_or_else(String::new, |tokens| {
        format!(
            "\n  Ask what a user may do:\n\ncurl -H 'Authorization: Bearer {}' {}/v1/users/user_1/subscription-state\n",
            tokens.token("admin"),
            processes.api_url,
        )
    })
}

/// The ops page, and how to get in where we made the password up.
fn ops_page(services: &Services, processes: &Processes) -> String {
    let url = super::ops_url(processes);
    services.ops.as_ref().map_or_else(
        || url.clone(),
        |login| format!("{url}   name {}, password {}", super::ops::NAME, login.password),
    )
}
