//! What a peer used, as the kernel counts it: processor time and memory of a process and its children.

use std::{collections::BTreeMap, fs};

use anyhow::{Context, Result};

/// The kernel's unit in `/proc/<pid>/stat`, in nanoseconds.
const TICK_NS: u64 = 10_000_000;

/// The process and all its descendants, parents first. Those that are gone are left out.
pub(crate) fn family(id: u32) -> Vec<u32> {
    let mut members = vec![id];
    let mut next = 0;
    while let Some(&member) = members.get(next) {
        let children = fs::read_to_string(format!("/proc/{member}/task/{member}/children")).unwrap_or_default();
        members.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        next += 1;
    }
    members
}

/// A reading of the processor time of families of processes.
pub(crate) struct Cpu {
    /// Nanoseconds of each thread, from `schedstat`: fine, but a thread takes its count along when it ends.
    threads: BTreeMap<(u32, u32), u64>,
    /// User and system time of the processes, from `stat`: coarse, with ended threads in it.
    ticks: u64,
}

impl Cpu {
    /// # Errors
    ///
    /// When a process has gone.
    pub(crate) fn read(ids: impl IntoIterator<Item = u32>) -> Result<Self> {
        let mut cpu = Self { threads: BTreeMap::new(), ticks: 0 };
        for member in ids.into_iter().flat_map(family) {
            cpu.ticks += ticks(member)?;
            for task in fs::read_dir(format!("/proc/{member}/task")).context("a measured process is gone")? {
                let thread = task?.file_name().to_string_lossy().parse()?;
                // A thread may end between the listing and the reading.
                if let Ok(schedstat) = fs::read_to_string(format!("/proc/{member}/task/{thread}/schedstat")) {
                    let ns = schedstat.split(' ').next().unwrap_or_default().parse().context("schedstat is not numbers")?;
                    cpu.threads.insert((member, thread), ns);
                }
            }
        }
        Ok(cpu)
    }

    /// Nanoseconds used from `earlier` to this reading.
    pub(crate) fn since(&self, earlier: &Self) -> u64 {
        let lost_a_thread = earlier.threads.keys().any(|thread| !self.threads.contains_key(thread));
        if lost_a_thread {
            return (self.ticks - earlier.ticks) * TICK_NS;
        }
        self.threads.iter().map(|(thread, ns)| ns - earlier.threads.get(thread).unwrap_or(&0)).sum()
    }
}

fn ticks(id: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).context("a measured process is gone")?;
    // The name in parentheses may hold spaces; user and system time are the 12th and 13th field after it.
    let fields = stat.rsplit_once(')').context("stat has no name")?.1.split_whitespace().skip(11).take(2);
    fields.map(|field| field.parse::<u64>().context("stat is not numbers")).sum()
}

/// Memory of a family of processes, in KiB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// Resident pages, shared ones counted in every process that has them: what `ps` shows.
    pub(crate) resident: u64,
    /// Resident pages, shared ones divided among those who share.
    pub(crate) proportional: u64,
}

impl Memory {
    /// # Errors
    ///
    /// When a process has gone.
    pub(crate) fn read(id: u32) -> Result<Self> {
        let mut memory = Self { resident: 0, proportional: 0 };
        for member in family(id) {
            let rollup = fs::read_to_string(format!("/proc/{member}/smaps_rollup")).context("a measured process is gone")?;
            memory.resident += kibibytes(&rollup, "Rss:")?;
            memory.proportional += kibibytes(&rollup, "Pss:")?;
        }
        Ok(memory)
    }
}

fn kibibytes(rollup: &str, name: &str) -> Result<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("smaps_rollup has no {name}"))?;
    line.trim().trim_end_matches(" kB").parse().with_context(|| format!("{name} is no number"))
}

#[cfg(test)]
mod tests;
