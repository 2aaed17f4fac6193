//! Processes that a run starts, and ends whatever happens.

use std::{
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::usage::family;

/// How long a process may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(3);

/// A child process. Dropping it asks it to end, waits for that, and kills it and its own children after [`GRACE`].
pub(crate) struct Process {
    child: Child,
    name: &'static str,
}

impl Process {
    /// # Errors
    ///
    /// When the program cannot be started.
    pub(crate) fn spawn(name: &'static str, command: &mut Command) -> Result<Self> {
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { child, name })
    }

    /// The process itself, for its pipes.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// The process' id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// # Errors
    ///
    /// When the process has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} ended by itself: {status}", self.name);
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let members = family(self.id());
        signal(self.id(), Signal::TERM);
        let patience = Instant::now() + GRACE;
        while Instant::now() < patience {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            #[expect(clippy::disallowed_methods, reason = "a guard cannot wait asynchronously, and nothing is measured any more")]
            thread::sleep(Duration::from_millis(5));
        }
        members.into_iter().for_each(|member| signal(member, Signal::KILL));
        let _ended = self.child.wait();
    }
}

fn signal(id: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        // It may have ended in the meantime, which is what is wanted.
        let _sent = kill_process(pid, signal);
    }
}
