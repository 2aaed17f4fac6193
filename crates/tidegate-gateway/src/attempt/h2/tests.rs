use hyper::service::service_fn;
use hyper::{Response, server};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// A connection to a server that answers everything, and the task that ends with the connection.
async fn connection() -> (Io, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let client = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("a connection");
    let (accepted, _) = listener.accept().await.expect("a connection");
    let serving = tokio::spawn(async move {
        let answer = service_fn(async |_| Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from_static(b"hello")))));
        let _ = server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(accepted), answer).await;
    });
    (Io::Plain(client), serving)
}

#[tokio::test]
async fn a_connection_is_closed_once_it_has_been_unused_for_long_enough() {
    let (io, serving) = connection().await;
    let connections = H2Connections::default();
    let place = connections.adopt(io).await.expect("a connection");
    let (head, body) = place.send("http://localhost/", &HeaderMap::new(), Bytes::new()).await.expect("an answer");
    assert_eq!(head.status, 200);

    connections.sweep(Duration::ZERO);
    assert!(connections.place().is_some(), "it is in use");
    drop(body);
    connections.sweep(Duration::from_secs(3600));
    assert!(connections.place().is_some(), "it has not rested for long");
    connections.sweep(Duration::ZERO);
    assert!(connections.place().is_none());
    serving.await.expect("the server saw the connection end");
}

#[tokio::test]
async fn until_the_peer_says_how_many_streams_it_allows_a_connection_carries_one() {
    let (io, _serving) = connection().await;
    let connections = H2Connections::default();
    let first = connections.adopt(io).await.expect("a connection");
    assert!(connections.place().is_none());
    let answer = first.send("http://localhost/", &HeaderMap::new(), Bytes::new()).await.expect("an answer");
    let second = connections.place();
    assert!(second.is_some(), "its settings came before its answer");
    drop(answer);
}
