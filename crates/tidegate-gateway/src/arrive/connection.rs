//! One client connection, from accept to close.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Version, header};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::listener::Counted;
use super::meter::Meter;
use super::paths;
use super::socket::{MeteredIo, Patience};
use crate::drain::Stage;
use crate::gateway::Gateway;
use crate::worker::turns;

/// Largest head of a request, its empty line included. SDKs send two or three kilobytes; cookies of a careless proxy a few more.
const MAX_HEAD: usize = 64 * 1024;
/// How long a connection without a request is kept. Longer than the usual 60 s of proxies in front, so that they close first.
const IDLE: Duration = Duration::from_secs(75);

/// Serves `tcp` in its turn until it closes, the shutdown ends it, or a session takes it over. `counted` goes with it.
///
/// # Cancel safety
///
/// Dropping it closes the connection; running streams are recorded as cut off.
pub async fn serve(gateway: Arc<Gateway>, tcp: TcpStream, counted: Counted) {
    let meter = Arc::new(Meter::default());
    turns::in_turn(|| meter.has_begun_to_give(), pin!(serve_requests(gateway, tcp, counted, Arc::clone(&meter)))).await;
}

async fn serve_requests(gateway: Arc<Gateway>, tcp: TcpStream, counted: Counted, meter: Arc<Meter>) {
    let server = &gateway.setup().config.server;
    if let Err(error) = prepare(&tcp, server.write_buffer) {
        tracing::debug!(%error, "a client was gone before it was served");
        return;
    }
    let patience = Patience { head: server.header_timeout, idle: IDLE, slow: server.slow_client };
    let io = TokioIo::new(MeteredIo::new(tcp, Arc::clone(&meter), patience, counted));
    let service = {
        let (gateway, meter) = (Arc::clone(&gateway), Arc::clone(&meter));
        service_fn(move |request| {
            meter.arrived();
            let is_http_10 = request.version() == Version::HTTP_10;
            let (gateway, meter) = (Arc::clone(&gateway), Arc::clone(&meter));
            async move {
                // Polled only once the answer to a request before it was taken.
                meter.begin();
                let mut answer = paths::answer(gateway, meter, request).await;
                if is_http_10 {
                    // It knows no chunks, so the end of a stream can only be that of the connection. In an answer of its own version the
                    // HTTP library promises nothing else.
                    *answer.version_mut() = Version::HTTP_10;
                    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(answer)
            }
        })
    };
    let mut drain = gateway.drain.watch();
    let mut stage = *drain.borrow_and_update();
    let mut http = http1::Builder::new();
    // Who comes while the gateway drains still hears that it does, once.
    http.half_close(false).max_buf_size(MAX_HEAD).max_header_size(MAX_HEAD).keep_alive(stage == Stage::Serving);
    let mut connection = pin!(http.serve_connection(io, service).with_upgrades());
    loop {
        tokio::select! {
            biased;
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(%error, "a client's connection ended");
                }
                return;
            }
            Ok(()) = drain.changed(), if stage != Stage::Ending => {
                stage = *drain.borrow_and_update();
                connection.as_mut().graceful_shutdown();
                if stage == Stage::Ending {
                    meter.end_now();
                }
            }
        }
    }
}

/// Small writes go out at once; what the kernel buffers for a client that does not read is bounded.
fn prepare(tcp: &TcpStream, write_buffer: usize) -> std::io::Result<()> {
    tcp.set_nodelay(true)?;
    socket2::SockRef::from(tcp).set_send_buffer_size(write_buffer)
}
