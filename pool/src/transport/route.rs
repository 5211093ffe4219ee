//! What is asked, by the path of a request. What depends on the order of requests is all in the path: bodies come
//! in any order.

use http::{Method, Request};

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// Versions, there and back.
    Hello,
    /// Beats, there and back.
    Beat,
    /// A sealed call, and its answer.
    Call,
    /// A parcel of wishes, and the answer.
    Assign,
    /// A lease as the answer. It is held for as long as the stream is there.
    Lease,
    /// The end of a lease.
    Release { epoch: u64, number: u64 },
    /// Events as answers, without end.
    Events,
    /// A sealed call and its answer, then frames in both directions.
    Open,
}

impl Route {
    /// The request, whose authority nobody reads.
    pub(super) fn request(self) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        let uri = format!("https://node{}", self.path());
        *request.uri_mut() = uri.parse().expect("a path of letters and digits");
        request
    }

    fn path(self) -> String {
        match self {
            Self::Hello => "/hello".into(),
            Self::Beat => "/beat".into(),
            Self::Call => "/call".into(),
            Self::Assign => "/assign".into(),
            Self::Lease => "/lease".into(),
            Self::Release { epoch, number } => format!("/release/{epoch}/{number}"),
            Self::Events => "/events".into(),
            Self::Open => "/open".into(),
        }
    }

    pub(super) fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/hello" => Self::Hello,
            "/beat" => Self::Beat,
            "/call" => Self::Call,
            "/assign" => Self::Assign,
            "/lease" => Self::Lease,
            "/events" => Self::Events,
            "/open" => Self::Open,
            other => {
                let (epoch, number) = other.strip_prefix("/release/")?.split_once('/')?;
                Self::Release { epoch: epoch.parse().ok()?, number: number.parse().ok()? }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_what_it_is_about() {
        let release = Route::Release { epoch: 3, number: u64::MAX };
        let routes = [Route::Hello, Route::Beat, Route::Call, Route::Assign, Route::Lease];
        for route in routes.into_iter().chain([release, Route::Events, Route::Open]) {
            assert_eq!(Route::of(route.request().uri().path()), Some(route));
        }
        for path in ["", "/", "/dance", "/release/1", "/release/1/x", "/call/"] {
            assert_eq!(Route::of(path), None, "{path}");
        }
    }
}
