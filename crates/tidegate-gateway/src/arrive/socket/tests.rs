use bytes::{Buf, Bytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::*;
use crate::relay::held::Piece;

const PATIENCE: Patience = Patience { head: Duration::from_secs(10), idle: Duration::from_millis(100), slow: Duration::from_secs(30) };

/// A client's socket, and the gateway's end of it with its account.
async fn connection() -> (TcpStream, MeteredIo, Arc<Meter>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let client = TcpStream::connect(listener.local_addr().expect("its address")).await.expect("a connection");
    let (tcp, _) = listener.accept().await.expect("the other end");
    let meter = Arc::new(Meter::default());
    (client, MeteredIo::new(tcp, Arc::clone(&meter), PATIENCE, Counted::one_of(&Arc::default())), meter)
}

#[tokio::test]
async fn the_next_request_is_due_only_once_the_answer_is_taken() {
    let (mut client, mut io, meter) = connection().await;
    client.write_all(b"x").await.expect("sent");
    meter.arrived();
    let mut byte = [0];
    io.read_exact(&mut byte).await.expect("the request");
    let mut answer = meter.hand(Piece { bytes: Bytes::from_static(b"hello"), output_events: 1 });
    meter.answered();

    let waited = timeout(PATIENCE.idle * 2, io.read_exact(&mut byte)).await;
    assert!(waited.is_err(), "a client that still takes its answer was cut off: {waited:?}");

    io.write_all_buf(&mut answer).await.expect("it is taken");
    io.flush().await.expect("all of it");
    let waited = timeout(PATIENCE.idle * 50, io.read_exact(&mut byte)).await.expect("its limit ends the wait");
    assert_eq!(waited.map_err(|error| error.kind()), Err(io::ErrorKind::TimedOut));
}

#[tokio::test]
async fn an_answer_counts_for_what_the_socket_took_of_it() {
    let (_client, mut io, meter) = connection().await;
    let piece = |text: &'static [u8], output_events| meter.hand(Piece { bytes: Bytes::from_static(text), output_events });
    let mut answer = piece(b"first", 2).chain(piece(b"second", 3));
    for (bytes, output_events) in [(3, 2), (2, 2), (1, 5), (5, 5)] {
        let before = meter.taken().bytes;
        io.write_all(&[b'x'; 8][..bytes]).await.expect("taken");
        answer.advance(bytes);
        assert_eq!((meter.taken().bytes, meter.taken().output_events), (before + bytes as u64, output_events));
    }
    assert!(meter.is_flushed());
}

#[tokio::test]
async fn a_client_that_leaves_behind_bytes_that_nobody_reads_is_noticed() {
    let (mut client, mut io, meter) = connection().await;
    client.write_all(b"request").await.expect("sent");
    meter.arrived();
    let mut request = [0; 7];
    io.read_exact(&mut request).await.expect("the request");
    client.write_all(b"\r\nnext").await.expect("sent");

    // As the HTTP library does while it serves a request and keeps bytes for later: it flushes, and reads nothing.
    let mut noticed = std::pin::pin!(std::future::poll_fn(|cx| match Pin::new(&mut io).poll_flush(cx) {
        Poll::Ready(Ok(())) => Poll::Pending,
        result => result,
    }));
    assert!(timeout(PATIENCE.idle, &mut noticed).await.is_err(), "the client is there");
    drop(client);
    let noticed = timeout(PATIENCE.idle * 50, noticed).await.expect("it is noticed");
    assert_eq!(noticed.map_err(|error| error.kind()), Err(io::ErrorKind::UnexpectedEof));

    // What came is not lost.
    let mut ahead = [0; 6];
    io.read_exact(&mut ahead).await.expect("what was read ahead");
    assert_eq!(&ahead, b"\r\nnext");
}
