//! The smallest process that applies events. `tollgate worker` is the same role.

fn main() -> std::process::ExitCode {
    shared::role::main::<worker::Worker>()
}
