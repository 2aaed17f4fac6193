//! Where and when a run took place: enough to compare, nothing that names the machine.

use std::{fs, thread};

use anyhow::Result;
use jiff::Timestamp;

use crate::{
    lab::Plan,
    peer::{Kind, nginx_version, queue_version},
};

/// A few sentences for the head of the page.
pub(super) fn describe(plan: &Plan, queues: &[Kind]) -> Result<String> {
    let cores = thread::available_parallelism()?;
    let memory = field("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse::<u64>().unwrap_or_default() / 1024 / 1024;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    // What follows the version is the builder's own name for it.
    let kernel = kernel.trim().split('-').next().unwrap_or_default();
    let queues = queues.iter().map(|&kind| queue_version(kind)).collect::<Result<Vec<_>>>()?;
    let queues = if queues.is_empty() { String::new() } else { format!(" Servers of the queues: {}.", queues.join(", ")) };
    Ok(format!(
        "Tidegate {} beside {} as a raw proxy, on {}: {cores} cores ({}), {memory} GiB, Linux {kernel}. Source, peer and client share these cores.{queues}\n\
         Each value is the median of {} rounds taken in alternation ({} of small requests and of first events at random, {} for the start), with the smallest and the largest in parentheses.\n",
        env!("CARGO_PKG_VERSION"),
        nginx_version()?,
        Timestamp::now().strftime("%Y-%m-%d"),
        field("/proc/cpuinfo", "model name"),
        plan.rounds,
        plan.short_rounds,
        plan.starts,
    ))
}

/// The value of the first line `name: value` of a file of the kernel.
fn field(file: &str, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':').map(|(_, value)| value.trim().to_owned()));
    value.unwrap_or_else(|| "unknown".to_owned())
}
