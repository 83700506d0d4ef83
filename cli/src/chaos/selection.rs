//! Which faults a run has: those that are named, all there are, or as many as fit into less than a minute.

use std::collections::BTreeMap;

use shared::clock::Clock;
use simulator::dice::Dice;

use super::Options;
use super::faults::{FAULTS, Fault, When, find};

/// How long the faults of `--quick` may take that are not always in it, milliseconds.
const SOMETIMES_MS: u64 = 9_000;

/// Faults, and what picked them.
pub(super) struct Selection {
    pub seed: u64,
    pub faults: Vec<&'static Fault>,
    /// Those that cannot be made here, and why.
    pub not_run: BTreeMap<&'static str, String>,
}

impl Selection {
    /// What was asked for; or the names that are none.
    pub(super) fn new(options: &Options) -> Result<Self, String> {
        let seed = options
            .seed
            .unwrap_or_else(|| Clock::system().unix_ms().unsigned_abs());
        let faults = match (&options.only[..], options.quick) {
            ([], true) => quick(seed),
            ([], false) => FAULTS.iter().filter(|it| it.when != When::Named).collect(),
            (names, _) => named(names)?,
        };
        let no_disk = faults.iter().any(|fault| fault.needs_disk()).then(stack::no_disk);
        let (not_run, faults) = faults
            .into_iter()
            .partition(|fault| fault.needs_disk() && no_disk.as_ref().is_some_and(Option::is_some));
        let reason = no_disk.flatten().unwrap_or_default();
        let not_run: Vec<&Fault> = not_run;
        Ok(Self {
            seed,
            faults,
            not_run: not_run
                .into_iter()
                .map(|fault| (fault.name, reason.clone()))
                .collect(),
        })
    }

    /// Whether the servers need disks of their own.
    pub(super) fn needs_disks(&self) -> bool {
        self.faults.iter().any(|fault| fault.needs_disk())
    }
}

/// In the order of the list, whatever the order they were named in: a seed and a selection repeat a run.
fn named(names: &[String]) -> Result<Vec<&'static Fault>, String> {
    let unknown: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| find(name).is_none())
        .collect();
    if !unknown.is_empty() {
        let names: Vec<&str> = FAULTS.iter().map(|fault| fault.name).collect();
        let hints: String = unknown
            .iter()
            .map(|name| shared::suggest::hint(name, &names))
            .collect();
        return Err(format!(
            "--only: no such fault: {}{hints}; see --list",
            unknown.join(", ")
        ));
    }
    Ok(FAULTS
        .iter()
        .filter(|fault| names.iter().any(|name| name == fault.name))
        .collect())
}

/// Those that are always in it, and of the others as many as there is time for.
fn quick(seed: u64) -> Vec<&'static Fault> {
    let mut others: Vec<&Fault> = FAULTS.iter().filter(|it| it.when == When::Sometimes).collect();
    Dice::new(seed).shuffle(&mut others);
    let mut left_ms = SOMETIMES_MS;
    let chosen: Vec<&str> = others
        .into_iter()
        .filter(|fault| {
            let fits = fault.most_ms() <= left_ms;
            left_ms -= if fits { fault.most_ms() } else { 0 };
            fits
        })
        .map(|fault| fault.name)
        .collect();
    let is_in = |fault: &&Fault| fault.when == When::Always || chosen.contains(&fault.name);
    FAULTS.iter().filter(is_in).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn names(seed: u64) -> BTreeSet<&'static str> {
        quick(seed).iter().map(|fault| fault.name).collect()
    }

    #[test]
    fn a_seed_repeats_the_quick_selection_and_many_seeds_have_everything_that_is_quick() {
        assert_eq!(names(1), names(1));
        let seen: BTreeSet<&str> = (0..100).flat_map(names).collect();
        let quick = FAULTS
            .iter()
            .filter(|fault| matches!(fault.when, When::Always | When::Sometimes));
        assert_eq!(seen, quick.map(|fault| fault.name).collect());
    }

    #[test]
    fn what_is_named_comes_in_the_order_of_the_list() {
        let named = |names: &[&str]| named(&names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>());
        let found = named(&["kill-redis", "kill-worker"]).expect("two faults");
        assert_eq!(
            found.iter().map(|it| it.name).collect::<Vec<_>>(),
            ["kill-worker", "kill-redis"]
        );
        assert!(named(&["kill-wroker"]).is_err());
    }
}
