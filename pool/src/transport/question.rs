//! One question of a node and its answer, on a connection of its own: to join, or to renew its certificate. What
//! they say is no matter here.
//!
//! # Invariants
//! - Whoever asks may be a stranger: it gets one short answer within its time, and nothing else.

use super::body::{BodyError, Incoming, Outgoing};
use super::limits::{HEADERS, Limits, QUESTION};
use super::line::{DialError, QUESTION_ALPN, dial};
use bytes::Bytes;
use http::{Method, Request, Response};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::future::poll_fn;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

/// For the answer to arrive, once it is given.
const FAREWELL: Duration = Duration::from_secs(1);

/// Asks a controller one question.
pub async fn ask(
    controller: &str,
    server_name: ServerName<'static>,
    config: &ClientConfig,
    question: &[u8],
    limits: &Limits,
) -> Result<Vec<u8>, DialError> {
    let line = dial(controller, server_name, config, QUESTION_ALPN, limits).await?;
    let unanswered = |source| DialError::Unanswered { to: controller.to_owned(), source };
    let answered = timeout(limits.hello, asked(line, question)).await;
    let answered = answered.map_err(|_| unanswered(Some(BodyError::Stalled(limits.hello))))?;
    answered.map_err(|error| unanswered(Some(error)))
}

async fn asked(
    line: impl AsyncRead + AsyncWrite + Unpin,
    question: &[u8],
) -> Result<Vec<u8>, BodyError> {
    let mut builder = h2::client::Builder::new();
    builder.max_header_list_size(HEADERS).enable_push(false);
    let (mut requests, driver) = builder.handshake(line).await.map_err(BodyError::Stream)?;
    let asking = async {
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = http::Uri::from_static("https://controller/question");
        let sent = requests.send_request(request, false).map_err(BodyError::Stream)?;
        let (response, mut outgoing) = (sent.0, Outgoing::new(sent.1));
        outgoing.message(question).await?;
        outgoing.end();
        let response = response.await.map_err(BodyError::Stream)?;
        let answer = Incoming::new(response.into_body()).message(QUESTION).await?;
        answer.map(|answer| answer.to_vec()).ok_or(BodyError::Cut)
    };
    let (mut asking, mut driver) = (std::pin::pin!(asking), std::pin::pin!(driver));
    tokio::select! {
        answer = &mut asking => answer,
        // What came before the end may be the answer.
        _ = &mut driver => asking.await,
    }
}

/// Hears one question, answers it, and says goodbye. `None` where nothing is answered.
pub(super) async fn hear(
    line: impl AsyncRead + AsyncWrite + Unpin,
    limits: &Limits,
    answer: impl AsyncFnOnce(Bytes) -> Option<Vec<u8>>,
) -> Option<()> {
    let mut builder = h2::server::Builder::new();
    builder.max_header_list_size(HEADERS).max_concurrent_streams(1);
    let heard = timeout(limits.hello, async {
        let mut connection = builder.handshake::<_, Bytes>(line).await.ok()?;
        let (request, respond) = connection.accept().await?.ok()?;
        Some((connection, request, respond))
    });
    let (mut connection, request, mut respond) = heard.await.ok().flatten()?;
    let mut incoming = Incoming::new(request.into_body());
    let answering = async {
        let question = incoming.message_within(QUESTION, limits.hello).await.ok()?;
        let answer = answer(question).await?;
        let mut outgoing = Outgoing::new(respond.send_response(Response::new(()), false).ok()?);
        outgoing.message(&answer).await.ok()?;
        outgoing.end();
        Some(())
    };
    let answered = tokio::select! {
        answered = answering => answered,
        // A second question has no room; so the connection is over, or breaks its rules.
        _ = connection.accept() => None,
    };
    connection.graceful_shutdown();
    // It may be gone already.
    let _ = timeout(FAREWELL, poll_fn(|cx| connection.poll_closed(cx))).await;
    answered
}
