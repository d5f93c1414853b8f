//! The endpoint's thread: connections and answers.

use crate::endpoint::Shared;
use crate::metrics;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

/// Open connections. One more takes the place of the oldest: those that hang cannot keep others out.
const CONNECTIONS_MOST: usize = 64;
/// A request's head is a few hundred bytes.
const HEAD_MOST_BYTES: usize = 16 << 10;
const HEADERS_MOST: usize = 64;
/// For the head of a request, and for all of it with the answer.
const HEAD_TIME: Duration = Duration::from_secs(5);
const WHOLE_TIME: Duration = Duration::from_secs(10);
/// For answers that are on their way when the endpoint stops.
const STOP_TIME: Duration = Duration::from_millis(500);
/// Without a free file descriptor, accepting fails until one is.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const INDEX: &str = "cellwarden\n/metrics      for Prometheus\n/healthz      does every sensor listen?\n/status.json  \
                     for `cellwarden status`\n";

/// Takes in snapshots and answers questions until it is told to stop.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let router = Router::new()
        .route("/", get(|| async { INDEX }))
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/status.json", get(status))
        .with_state(Arc::clone(&shared));
    let mut connections = JoinSet::new();
    let mut handles: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        tokio::select! {
            () = shared.stop.notified() => break,
            () = shared.filled.notified() => drop(shared.state()),
            Some(_) = connections.join_next() => handles.retain(|h| !h.is_finished()),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    if handles.len() >= CONNECTIONS_MOST {
                        handles.pop_front().iter().for_each(AbortHandle::abort);
                    }
                    let service = TowerToHyperService::new(router.clone());
                    // Without keep-alive a connection is one question, and its time is bounded.
                    let answered = http1::Builder::new()
                        .timer(TokioTimer::new())
                        .header_read_timeout(HEAD_TIME)
                        .max_buf_size(HEAD_MOST_BYTES)
                        .max_headers(HEADERS_MOST)
                        .keep_alive(false)
                        .serve_connection(TokioIo::new(stream), service);
                    handles.push_back(connections.spawn(async move {
                        match timeout(WHOLE_TIME, answered).await {
                            Ok(Ok(())) => {}
                            Ok(Err(error)) => tracing::debug!("a client of the health endpoint: {error}"),
                            Err(_) => tracing::debug!("a client of the health endpoint hung"),
                        }
                    }));
                }
                Err(error) => {
                    tracing::warn!("the health endpoint cannot take a connection: {error}");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let _ = timeout(STOP_TIME, async { while connections.join_next().await.is_some() {} }).await;
    connections.shutdown().await;
}

/// An answer that nobody may keep: it is old after a second.
fn answer(code: StatusCode, content_type: &'static str, body: String) -> Response {
    let mut response = (code, body).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn failed(error: impl std::fmt::Display) -> Response {
    tracing::error!("the health endpoint cannot answer: {error}");
    answer(StatusCode::INTERNAL_SERVER_ERROR, "text/plain; charset=utf-8", format!("{error}\n"))
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    match metrics::render(&mut shared.state()) {
        Ok(text) => answer(StatusCode::OK, metrics::CONTENT_TYPE, text),
        Err(error) => failed(error),
    }
}

async fn healthz(State(shared): State<Arc<Shared>>) -> Response {
    let wrong = shared.state().not_listening();
    let code = if wrong.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    answer(code, "application/json", format!("{}\n", json!({ "listening": wrong.is_empty(), "wrong": wrong })))
}

async fn status(State(shared): State<Arc<Shared>>) -> Response {
    let status = shared.state().status();
    match serde_json::to_string(&status) {
        Ok(text) => answer(StatusCode::OK, "application/json", text + "\n"),
        Err(error) => failed(error),
    }
}
