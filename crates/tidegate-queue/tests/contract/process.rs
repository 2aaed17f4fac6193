//! Another process, which is killed and frozen as a whole: with all of its threads and connections.

use std::env;
use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tidegate_queue::{Lease, Owner};
use tokio::task::block_in_place;

use crate::support::{Server, bytes, invisible, session, settings, soon, task, visible};

/// Of the sessions that such a process creates.
pub(crate) const PUPPETS_TTL: Duration = Duration::from_secs(5);

/// Where its server is. Without it, nobody asks for anything.
const ADDRESS: &str = "TIDEGATE_TEST_SERVER";
/// Before every answer: the test runner says something, too, perhaps in the same line.
const ANSWER: &str = "answer: ";

/// A process that does what it is asked to: this same program, of which only [`obey`] runs.
pub(crate) struct Process {
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Process {
    pub(crate) fn start<S: Server>(server: &S) -> Self {
        let test = format!("{}::another_process_does_what_a_test_asks_it_to", S::NAME);
        let mut command = Command::new(env::current_exe().expect("this program"));
        command.args(["--exact", &test, "--nocapture"]).env(ADDRESS, server.address());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let (orders, answers) = child.stdin.take().zip(child.stdout.take()).expect("they are piped");
        Self { child, orders, answers: BufReader::new(answers).lines() }
    }

    /// What it answers to this.
    pub(crate) async fn answers(&mut self, order: &str) -> String {
        soon(async {
            block_in_place(|| {
                writeln!(self.orders, "{order}").expect("it is there");
                self.answers.find_map(|line| Some(line.ok()?.split_once(ANSWER)?.1.to_owned())).expect("an answer")
            })
        })
        .await
    }

    /// It can do this.
    pub(crate) async fn does(&mut self, order: &str) {
        assert_eq!(self.answers(order).await, "Ok(())", "{order}");
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().and_then(|()| self.child.wait()).expect("it was there");
    }

    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is there");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What such a process does, until nobody asks any more. In every other, nothing.
pub(crate) async fn obey<S: Server>() {
    let Ok(address) = env::var(ADDRESS) else { return };
    let queue = S::queue_at(&address, settings());
    let (mut owner, mut lease) = (None::<Owner>, None::<Lease>);
    for order in std::io::stdin().lines() {
        let order = order.expect("a line");
        let (verb, what) = order.split_once(' ').unwrap_or((&order, ""));
        let answer = match (verb, &mut owner, &mut lease) {
            ("create", ..) => {
                let created = soon(queue.create(session(), PUPPETS_TTL)).await.expect("a session");
                owner.insert(created).session().to_string()
            }
            ("journal", Some(owner), _) => format!("{:?}", owner.journal(&[bytes(what)]).await),
            ("submit", Some(owner), _) => format!("{:?}", owner.submit(task(), bytes(what)).await),
            ("next", Some(owner), _) => format!("{:?}", soon(owner.next()).await),
            ("lease", ..) => {
                lease = Some(crate::support::lease(&queue).await);
                "Ok(())".to_owned()
            }
            ("emit", _, Some(lease)) => {
                let piece = match what.split_once(' ') {
                    Some(("visible", said)) => visible(said),
                    Some(("invisible", said)) => invisible(said),
                    _ => unreachable!("{order}"),
                };
                format!("{:?}", lease.emit([piece]).await)
            }
            ("settle", _, Some(lease)) => format!("{:?}", lease.settle(bytes(what)).await),
            ("stopped", _, Some(lease)) => format!("{:?}", soon(lease.stopped()).await),
            ("drop", ..) => {
                lease = None;
                soon(queue.all_given_back()).await;
                "Ok(())".to_owned()
            }
            _ => unreachable!("{order}"),
        };
        writeln!(std::io::stdout(), "{ANSWER}{answer}").expect("somebody listens");
    }
}
