//! The peer that sessions are compared with: what a WebSocket costs by itself, in the same engine with the same buffers, on as many threads.

use std::{net::SocketAddr, process::Command};

use anyhow::{Context as _, Result};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime,
};
use tokio_tungstenite::{
    accept_async_with_config,
    tungstenite::protocol::{Message, WebSocketConfig},
};

/// As many as the gateway has on the machine of the published figures.
const THREADS: usize = 2;

/// The buffers of the gateway's sessions.
pub(crate) fn buffers() -> WebSocketConfig {
    WebSocketConfig::default().read_buffer_size(4 * 1024).write_buffer_size(16 * 1024)
}

/// Starts this program as the echo server.
///
/// # Errors
///
/// When this program cannot be found.
pub(super) fn command(address: SocketAddr) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("echo").arg(address.to_string());
    Ok(command)
}

/// Serves until the process ends.
///
/// # Errors
///
/// When the address cannot be had.
pub(crate) fn serve(address: SocketAddr) -> Result<()> {
    let runtime = runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await.context("the echo server cannot listen")?;
        loop {
            let (connection, _) = listener.accept().await?;
            connection.set_nodelay(true)?;
            tokio::spawn(async move { drop(echo(connection).await) });
        }
    })
}

async fn echo(connection: TcpStream) -> Result<()> {
    let mut socket = accept_async_with_config(connection, Some(buffers())).await?;
    while let Some(message) = socket.next().await {
        match message? {
            message @ (Message::Text(_) | Message::Binary(_)) => socket.send(message).await?,
            _ => socket.flush().await?,
        }
    }
    Ok(())
}
