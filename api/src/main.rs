//! The smallest process that serves the billing API. `tollgate api` is the same role.

fn main() -> std::process::ExitCode {
    shared::role::main::<api::Api>()
}
