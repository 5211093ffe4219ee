//! Pages in browsers ask nothing of us. The socket is out of their reach; a port that somebody puts before
//! it is not, and a page may send there what it likes (CSRF, DNS rebinding).

use crate::refusal::{Refused, invalid};
use axum::extract::Request;
use axum::http::HeaderName;
use axum::http::header::ORIGIN;
use axum::middleware::Next;
use axum::response::Response;

/// What browsers say of a page's requests, and no page can leave out.
const TOLD: [HeaderName; 2] = [ORIGIN, HeaderName::from_static("sec-fetch-site")];

/// Refuses what a page asks, before any route sees it.
pub async fn refuse(request: Request, next: Next) -> Result<Response, Refused> {
    if TOLD.iter().any(|name| request.headers().contains_key(name)) {
        return Err(invalid("this comes from a page in a browser, which is never answered").into());
    }
    Ok(next.run(request).await)
}
