use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::*;

const PATIENCE: Patience = Patience { head: Duration::from_secs(10), idle: Duration::from_millis(100), slow: Duration::from_secs(30) };

/// A client's socket, and the gateway's end of it with its account.
async fn connection() -> (TcpStream, MeteredIo, Arc<Meter>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let client = TcpStream::connect(listener.local_addr().expect("its address")).await.expect("a connection");
    let (tcp, _) = listener.accept().await.expect("the other end");
    let meter = Arc::new(Meter::default());
    (client, MeteredIo::new(tcp, Arc::clone(&meter), PATIENCE), meter)
}

#[tokio::test]
async fn the_next_request_is_due_only_once_the_answer_is_taken() {
    let (mut client, mut io, meter) = connection().await;
    client.write_all(b"x").await.expect("sent");
    meter.begin();
    let mut byte = [0];
    io.read_exact(&mut byte).await.expect("the request");
    meter.hand(1000, 1);
    meter.answered();

    let waited = timeout(PATIENCE.idle * 2, io.read_exact(&mut byte)).await;
    assert!(waited.is_err(), "a client that still takes its answer was cut off: {waited:?}");

    io.flush().await.expect("all is taken");
    let waited = timeout(PATIENCE.idle * 50, io.read_exact(&mut byte)).await.expect("its limit ends the wait");
    assert_eq!(waited.map_err(|error| error.kind()), Err(io::ErrorKind::TimedOut));
}
