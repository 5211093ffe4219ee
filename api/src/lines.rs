//! Lines of JSON: how something under way is told while it goes on.

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::stream::{BoxStream, Stream, StreamExt};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::convert::Infallible;

/// The longest line that a reader takes.
const MAX_LINE: usize = 8 << 20;

/// A stream of values as an answer, a line each. Ends when the stream does; dropping the answer
/// drops the stream.
pub fn answer<T: Serialize>(lines: impl Stream<Item = T> + Send + 'static) -> Response {
    let bytes = lines.map(|line| {
        let mut text = serde_json::to_vec(&line).expect("the API's shapes have text keys only");
        text.push(b'\n');
        Ok::<_, Infallible>(Bytes::from(text))
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(bytes)).into_response()
}

/// Why lines end before their time.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// The other side is gone.
    #[error("the connection broke")]
    Broken(#[source] hyper::Error),
    /// Not what was agreed.
    #[error("unexpected response from the controller")]
    Nonsense(#[source] serde_json::Error),
    /// Longer than [`MAX_LINE`].
    #[error("an answer has a line of more than {MAX_LINE} bytes")]
    TooLong,
}

/// The values of an answer that is lines. Ends after the first error.
pub fn read<T: DeserializeOwned + Send + 'static>(
    body: Incoming,
) -> BoxStream<'static, Result<T, LineError>> {
    let state = Some((body, BytesMut::new()));
    futures_util::stream::unfold(state, |state| async {
        let (mut body, mut buffer) = state?;
        match next(&mut body, &mut buffer).await {
            Ok(None) => None,
            Ok(Some(line)) => match serde_json::from_slice(&line) {
                Ok(value) => Some((Ok(value), Some((body, buffer)))),
                Err(error) => Some((Err(LineError::Nonsense(error)), None)),
            },
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed()
}

async fn next(body: &mut Incoming, buffer: &mut BytesMut) -> Result<Option<BytesMut>, LineError> {
    let mut searched = 0;
    loop {
        if let Some(end) = buffer[searched..].iter().position(|byte| *byte == b'\n') {
            return Ok(Some(buffer.split_to(searched + end + 1)));
        }
        searched = buffer.len();
        if searched > MAX_LINE {
            return Err(LineError::TooLong);
        }
        match body.frame().await {
            None => return Ok(None),
            Some(Err(error)) => return Err(LineError::Broken(error)),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    buffer.extend_from_slice(&data);
                }
            }
        }
    }
}
