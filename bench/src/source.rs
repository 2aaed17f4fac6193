//! The provider of a run, in a process of its own: `tidegate-bench source`.
//!
//! One thread, one task a connection, events rendered once: its cost is small and the same for every peer. It prints its address on the first line,
//! and ends when its standard input ends, so that it never outlives the run that started it.

mod connection;
mod count;

use std::{io::Read as _, net::SocketAddr, process, rc::Rc, thread};

use anyhow::{Context as _, Result};
use tokio::{net::TcpSocket, task};

pub(crate) use count::{CONTROL_PATH, SourceCount};

/// As many connections may wait as one figure opens in a burst.
const BACKLOG: u32 = 4096;
/// Unsent bytes that the system keeps for one stream (it doubles the value for its own needs).
///
/// Small, so that under a flood text waits at the source before it is stamped, and what is measured lies in the peer.
const SEND_BUFFER: u32 = 16 * 1024;

/// Serves until the process ends.
///
/// # Errors
///
/// When no address can be had.
///
/// # Cancel safety
///
/// Dropping it closes the listener; open connections end with their `LocalSet`.
pub(crate) async fn serve() -> Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let listener = socket.listen(BACKLOG).context("the source cannot listen")?;
    announce(listener.local_addr()?);
    thread::spawn(end_with_standard_input);
    let count = Rc::new(count::Count::default());
    loop {
        let (connection, _) = listener.accept().await?;
        connection.set_nodelay(true)?;
        task::spawn_local(connection::serve(connection, Rc::clone(&count)));
    }
}

#[expect(clippy::print_stdout, reason = "the address on standard output is this program's interface")]
fn announce(address: SocketAddr) {
    println!("{address}");
}

fn end_with_standard_input() {
    let mut ignored = [0; 64];
    while matches!(std::io::stdin().read(&mut ignored), Ok(1..)) {}
    process::exit(0);
}
