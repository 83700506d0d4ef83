//! `tollgate healthcheck`: what a container asks that has no shell and no curl.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;

use shared::config::{EXIT_CONFIG, Env, Reader};

use crate::{answer, fail, http, tool};

/// The part of the help that options cannot say.
pub const HELP: &str = "\
Examples:
  tollgate healthcheck worker
  tollgate healthcheck ingest --ready

Exit status: 0 when it answers so, 1 when not, 78 for unusable settings.";

/// What `tollgate healthcheck` takes. The address is the role's own `TOLLGATE_<ROLE>_ADMIN_ADDR`.
#[derive(clap::Args)]
pub struct Options {
    /// The role to ask
    role: Role,
    /// Ask whether it is ready to work, and not only whether it lives
    #[arg(long)]
    ready: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Role {
    Ingest,
    Worker,
    Api,
}

/// Runs the command.
pub fn main(options: &Options) -> ExitCode {
    let env = Env::of_process();
    let mut reader = Reader::new(&env);
    let address = match options.role {
        Role::Ingest => reader.or(
            "TOLLGATE_INGEST_ADMIN_ADDR",
            SocketAddr::from(([127, 0, 0, 1], 9080)),
        ),
        Role::Worker => reader.or(
            "TOLLGATE_WORKER_ADMIN_ADDR",
            SocketAddr::from(([127, 0, 0, 1], 9081)),
        ),
        Role::Api => reader.or(
            "TOLLGATE_API_ADMIN_ADDR",
            SocketAddr::from(([127, 0, 0, 1], 9082)),
        ),
    };
    let address = match reader.finish(address) {
        Ok(address) => reachable(address),
        Err(error) => {
            fail(&error);
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    let question = if options.ready { "readyz" } else { "livez" };
    tool::block_on(async {
        Ok(match http::get(&format!("http://{address}/{question}")).await {
            Ok((200, body)) => {
                answer(body.trim());
                ExitCode::SUCCESS
            }
            Ok((_, body)) => fail(&body.trim()),
            Err(error) => fail(&format!("{address}: {error}")),
        })
    })
}

/// A role that listens on every address is asked on this machine's own.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_means_this_machine() {
        for (listens, asked) in [
            ("0.0.0.0:9080", "127.0.0.1:9080"),
            ("[::]:9080", "[::1]:9080"),
            ("10.0.0.5:1", "10.0.0.5:1"),
        ] {
            assert_eq!(reachable(listens.parse().expect("an address")).to_string(), asked);
        }
    }
}
