//! A small HTTP server that takes webhooks.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use standardwebhooks::Webhook;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

/// How the receiver answers one webhook.
pub(super) enum Reply {
    /// With a status and one more header.
    Status(u16, Option<(&'static str, String)>),
    /// Never.
    Silence,
}

/// What came.
pub(super) struct Received {
    pub(super) head: Parts,
    pub(super) body: Bytes,
}

impl Received {
    pub(super) fn id(&self) -> &str {
        self.header(super::sign::ID)
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.head.headers[name].to_str().expect("text")
    }

    /// Judged by the reference implementation: signature, id and time.
    pub(super) fn is_signed_with(&self, secret: &str) -> bool {
        Webhook::new(secret).expect("a secret").verify(&self.body, &self.head.headers).is_ok()
    }
}

pub(super) struct Receiver {
    pub(super) port: u16,
    came: mpsc::Receiver<Received>,
}

impl Receiver {
    /// A receiver on loopback that answers with `replies` in turn, and with 200 after them.
    pub(super) async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self::start_with(replies, None).await
    }

    /// The same, over TLS.
    pub(super) async fn start_with(replies: impl IntoIterator<Item = Reply>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (tell, came) = mpsc::channel(100);
        let replies: Arc<Mutex<VecDeque<Reply>>> = Arc::new(Mutex::new(replies.into_iter().collect()));
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (tell, replies, tls) = (tell.clone(), Arc::clone(&replies), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(tcp, tell, replies).await,
                        Some(tls) => {
                            // A client that does not trust the certificate ends here.
                            if let Ok(session) = tls.accept(tcp).await {
                                serve(session, tell, replies).await;
                            }
                        }
                    }
                });
            }
        });
        Self { port, came }
    }

    pub(super) fn url(&self, host: &str) -> url::Url {
        format!("http://{host}:{}/hook?from=tidegate", self.port).parse().expect("a URL")
    }

    /// The next webhook.
    pub(super) async fn next(&mut self) -> Received {
        super::soon("a webhook comes", self.came.recv()).await.expect("the receiver lives")
    }

    /// Whether nothing has come.
    pub(super) fn is_empty(&self) -> bool {
        self.came.is_empty()
    }
}

async fn serve(io: impl AsyncRead + AsyncWrite + Unpin, tell: mpsc::Sender<Received>, replies: Arc<Mutex<VecDeque<Reply>>>) {
    let answer = |request: Request<Incoming>| {
        let (tell, replies) = (tell.clone(), Arc::clone(&replies));
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let reply = replies.lock().expect("no test panicked").pop_front().unwrap_or(Reply::Status(200, None));
            let _ = tell.send(Received { head, body }).await;
            let Reply::Status(status, header) = reply else { return std::future::pending().await };
            let mut response = Response::builder().status(status);
            if let Some((name, value)) = header {
                response = response.header(name, value);
            }
            Ok::<_, hyper::Error>(response.body(Full::new(Bytes::from("thanks"))).expect("a response"))
        }
    };
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(io), service_fn(answer)).await;
}
