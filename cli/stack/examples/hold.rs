//! Starts a stack, says where it is, and holds it until standard input ends. Arguments: `--fetch` ignores what is
//! installed, `--durable` syncs every write, `--data-dir DIR` keeps the data.
#![expect(clippy::print_stdout, reason = "this is a command line")]

use std::io::Read;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| args.iter().any(|arg| arg == name);
    let mut options = if has("--durable") {
        stack::Options::durable()
    } else {
        stack::Options::throwaway()
    };
    options.sources.machine = !has("--fetch");
    if let Some(dir) = args.iter().skip_while(|arg| *arg != "--data-dir").nth(1) {
        options = options.with_data_dir(dir);
    }
    let begin = Instant::now();
    let options = options.on_progress(move |step| println!("{:>5} ms  {step}", begin.elapsed().as_millis()));
    let stack = stack::Stack::start(options).map_err(std::io::Error::other)?;
    println!("{:>5} ms  up", begin.elapsed().as_millis());
    println!("{}", stack.redis_url().unwrap_or_default());
    println!("{}", stack.database_url().unwrap_or_default());
    println!("{}", stack.dir().display());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    let end = Instant::now();
    drop(stack);
    println!("{:>5} ms  down", end.elapsed().as_millis());
    Ok(())
}
