//! The smallest process that receives webhooks. `tollgate ingest` is the same role.

fn main() -> std::process::ExitCode {
    shared::role::main::<ingest::Ingest>()
}
