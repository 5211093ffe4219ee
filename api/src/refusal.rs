//! Refusals as HTTP answers: the kind decides the status, the body is the refusal itself.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use keel_reconciler::ask::{Refusal, RefusalKind};
use serde::de::DeserializeOwned;

/// What a route answers when it does not do what it was asked.
pub struct Refused(pub Refusal);

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (status(self.0.kind), Json(self.0)).into_response()
    }
}

fn status(kind: RefusalKind) -> StatusCode {
    match kind {
        RefusalKind::NotFound => StatusCode::NOT_FOUND,
        RefusalKind::Conflict | RefusalKind::TakenOver => StatusCode::CONFLICT,
        RefusalKind::Invalid => StatusCode::BAD_REQUEST,
        RefusalKind::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        RefusalKind::NeedsDaemon | RefusalKind::Busy => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// A request that makes no sense.
pub fn invalid(message: impl Into<String>) -> Refusal {
    Refusal { kind: RefusalKind::Invalid, message: message.into(), hint: None }
}

/// A JSON body whose refusal is ours too.
pub struct Ask<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Ask<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refused> {
        let body = Json::<T>::from_request(request, state).await;
        body.map(|Json(ask)| Self(ask)).map_err(|rejection| {
            let message = match &rejection {
                JsonRejection::BytesRejection(_) => "the request is too large".to_owned(),
                other => format!("invalid request: {}", other.body_text()),
            };
            Refused(invalid(message))
        })
    }
}
