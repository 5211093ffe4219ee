//! Git's smart protocol over HTTP(S), as a subtransport of libgit2: it asks, we carry.

use super::identity::Identity;
use super::meter::{Allowance, Meter, TOO_LONG, Topic};
use crate::limits;
use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream};
use git2::{Error, ErrorClass, ErrorCode};
use reqwest::redirect::{self, Attempt};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use std::error::Error as _;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

const CONNECT: Duration = Duration::from_secs(10);
/// A repository that was moved that often is lost.
const MOST_MOVES: usize = 10;

/// One connection to one repository. Lives on a thread where waiting is allowed.
pub(crate) struct Http {
    client: Client,
    runtime: Handle,
    identity: Identity,
    /// Where the first answer really came from: a server may have moved the repository.
    moved_to: Mutex<Option<String>>,
    meter: Arc<Mutex<Meter>>,
}

impl Http {
    pub fn new() -> Result<Self, Error> {
        // If somebody chose a provider already, that one is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .user_agent(concat!("git/2 keel/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .read_timeout(limits::GIT_SILENCE)
            .redirect(redirect::Policy::custom(follow))
            .referer(false)
            .build()
            .map_err(|error| unreachable_server(&error))?;
        let (runtime, identity) = (Handle::current(), Identity::present());
        let meter = Meter::new(Topic::References, Allowance::present());
        let (moved_to, meter) = (Mutex::default(), Arc::new(Mutex::new(meter)));
        Ok(Self { client, runtime, identity, moved_to, meter })
    }

    fn base(&self, url: &str) -> String {
        let moved = self.moved_to.lock().expect("nothing panics with it").clone();
        moved.unwrap_or_else(|| url.trim_end_matches('/').to_owned())
    }

    fn references(&self, url: &str) -> Result<Stream, Error> {
        const PAGE: &str = "/info/refs?service=git-upload-pack";
        let base = self.base(url);
        let request = self.named(self.client.get(format!("{base}{PAGE}")), url, &base);
        let response = self.send(request, url)?;
        let kind = response.headers().get(reqwest::header::CONTENT_TYPE);
        if kind.is_none_or(|kind| kind != "application/x-git-upload-pack-advertisement") {
            let words = "there is no Git repository at that address";
            return Err(Error::new(ErrorCode::NotFound, ErrorClass::Http, words));
        }
        if let Some(base) = moved_base(url, response.url(), PAGE) {
            *self.moved_to.lock().expect("nothing panics with it") = Some(base);
        }
        Ok(self.stream(Topic::References, Stage::Answer(response, Vec::new(), 0)))
    }

    fn stream(&self, topic: Topic, stage: Stage) -> Stream {
        self.meter.lock().expect("nothing panics with it").begin(topic);
        Stream { runtime: self.runtime.clone(), meter: self.meter.clone(), stage }
    }

    fn send(&self, request: RequestBuilder, url: &str) -> Result<Response, Error> {
        let request = request.timeout(limits::GIT_FIRST_WORD);
        let response = self.runtime.block_on(request.send()).map_err(|e| unreachable_server(&e))?;
        let named = matches!(self.identity, Identity::Basic { .. })
            || Url::parse(url).is_ok_and(|url| !url.username().is_empty());
        refusal(response.status(), named).map_or(Ok(response), Err)
    }
}

impl Http {
    /// The request with our name on it, unless it goes to another server than was asked for.
    fn named(&self, request: RequestBuilder, asked: &str, base: &str) -> RequestBuilder {
        let origin = |url: &str| Url::parse(url).map(|url| url.origin()).ok();
        match &self.identity {
            Identity::Basic { username, password } if origin(asked) == origin(base) => {
                request.basic_auth(username, Some(password))
            }
            _ => request,
        }
    }
}

/// Follows a server that moved a repository, as far as it may.
fn follow(attempt: Attempt<'_>) -> redirect::Action {
    let faulty = attempt.previous().last().and_then(|from| fault(from, attempt.url()));
    match faulty {
        Some(why) => attempt.error(why),
        None if attempt.previous().len() > MOST_MOVES => attempt.error("it leads in a circle"),
        None => attempt.follow(),
    }
}

/// Why a server may not lead from here to there. The operator named a host, so no server decides that
/// another one is asked, such as one in this machine's own network; and a question that was asked over
/// TLS is not asked again for all to hear. Pure.
fn fault(from: &Url, to: &Url) -> Option<String> {
    if from.path().ends_with("/git-upload-pack") {
        return Some("the server leads elsewhere in the middle of a fetch".to_owned());
    }
    let encrypts = (from.scheme(), to.scheme()) == ("http", "https");
    if from.host() == to.host() && (from.origin() == to.origin() || encrypts) {
        return None;
    }
    let origin = to.origin().ascii_serialization();
    Some(format!("the server leads to {origin}, and only the one that is named is asked"))
}

/// The new base, where the server led elsewhere. Credentials of the URL go along only to the
/// same host.
fn moved_base(asked: &str, came: &Url, page: &str) -> Option<String> {
    let asked = Url::parse(asked).ok()?;
    let mut base = Url::parse(came.as_str().strip_suffix(page)?).ok()?;
    if base.origin() == asked.origin() {
        base.set_username(asked.username()).ok()?;
        base.set_password(asked.password()).ok()?;
    }
    Some(base.as_str().trim_end_matches('/').to_owned())
}

fn refusal(status: StatusCode, credentials: bool) -> Option<Error> {
    let (code, words) = match status {
        status if status.is_success() => return None,
        StatusCode::UNAUTHORIZED if credentials => {
            (ErrorCode::Auth, "the server refuses these credentials".to_owned())
        }
        StatusCode::FORBIDDEN if credentials => {
            let words = "the server does not let these credentials read the repository";
            (ErrorCode::Auth, words.to_owned())
        }
        StatusCode::UNAUTHORIZED => (ErrorCode::Auth, "the server asks for credentials".to_owned()),
        StatusCode::FORBIDDEN => (ErrorCode::Auth, "the server forbids it".to_owned()),
        StatusCode::NOT_FOUND | StatusCode::GONE => {
            (ErrorCode::NotFound, "there is no Git repository at that address".to_owned())
        }
        status if status.is_redirection() => {
            let words = format!("the server answers {status}, and names nowhere to go on");
            (ErrorCode::GenericError, words)
        }
        other => (ErrorCode::GenericError, format!("the server answers {other}")),
    };
    Some(Error::new(code, ErrorClass::Http, words))
}

/// In few words: the last cause says what happened, the rest is our client's anatomy.
fn unreachable_server(error: &reqwest::Error) -> Error {
    let Some(mut cause) = error.source() else {
        // Its own words have the URL, with the password in it.
        return Error::new(ErrorCode::GenericError, ErrorClass::Net, "the request cannot be sent");
    };
    while let Some(source) = cause.source() {
        cause = source;
    }
    let words = if error.is_timeout() {
        "the server does not answer in time".to_owned()
    } else if error.is_redirect() {
        cause.to_string()
    } else {
        format!("the server cannot be reached: {cause}")
    };
    Error::new(ErrorCode::GenericError, ErrorClass::Net, words)
}

/// In the middle of an answer.
fn broken(error: &reqwest::Error) -> Error {
    let words = match error.is_timeout() {
        true => "the server fell silent in the middle of its answer",
        false => "the connection broke off in the middle of the answer",
    };
    Error::new(ErrorCode::GenericError, ErrorClass::Net, words)
}

impl SmartSubtransport for Http {
    fn action(
        &self,
        url: &str,
        service: Service,
    ) -> Result<Box<dyn SmartSubtransportStream>, Error> {
        match service {
            Service::UploadPackLs => Ok(Box::new(self.references(url)?)),
            Service::UploadPack => {
                let base = self.base(url);
                let request = self
                    .named(self.client.post(format!("{base}/git-upload-pack")), url, &base)
                    .header("content-type", "application/x-git-upload-pack-request")
                    .header("accept", "application/x-git-upload-pack-result");
                let stage = Stage::Question(Some(request), Vec::new());
                Ok(Box::new(self.stream(Topic::Pack, stage)))
            }
            Service::ReceivePackLs | Service::ReceivePack => {
                Err(Error::from_str("nothing is ever pushed to a source"))
            }
        }
    }

    fn close(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// Not for longer than the whole fetch may take.
async fn within<T>(until: Instant, work: impl Future<Output = T>) -> io::Result<T> {
    let done = tokio::time::timeout_at(until.into(), work).await;
    done.map_err(|_| io::Error::other(TOO_LONG))
}

/// A question that is written, then its answer that is read.
struct Stream {
    runtime: Handle,
    meter: Arc<Mutex<Meter>>,
    stage: Stage,
}

enum Stage {
    Question(Option<RequestBuilder>, Vec<u8>),
    Answer(Response, Vec<u8>, usize),
}

impl Stream {
    fn ask(&mut self) -> io::Result<()> {
        let Stage::Question(request, body) = &mut self.stage else { return Ok(()) };
        let request = request.take().ok_or_else(|| io::Error::other("it was asked already"))?;
        let sending = request.body(std::mem::take(body)).send();
        let until = self.meter.lock().expect("nothing panics with it").until();
        let answer = self.runtime.block_on(within(until, sending))?;
        let answer = answer.map_err(|error| io::Error::other(unreachable_server(&error)))?;
        if let Some(refused) = refusal(answer.status(), true) {
            return Err(io::Error::other(refused));
        }
        self.stage = Stage::Answer(answer, Vec::new(), 0);
        Ok(())
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.ask()?;
        let Stage::Answer(response, chunk, at) = &mut self.stage else {
            return Err(io::Error::other("a question has no answer yet"));
        };
        while *at == chunk.len() {
            let mut meter = self.meter.lock().expect("nothing panics with it");
            let next = self.runtime.block_on(within(meter.until(), response.chunk()))?;
            match next.map_err(|error| io::Error::other(broken(&error)))? {
                Some(next) => {
                    meter.take(&next, Instant::now()).map_err(io::Error::other)?;
                    (*chunk, *at) = (next.to_vec(), 0);
                }
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(chunk.len() - *at);
        buffer[..count].copy_from_slice(&chunk[*at..*at + count]);
        *at += count;
        Ok(count)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.stage {
            Stage::Question(_, body) => body.extend_from_slice(bytes),
            Stage::Answer(..) => return Err(io::Error::other("the answer has begun")),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_follow_only_to_the_same_host() {
        let page = "/info/refs?service=git-upload-pack";
        let came = |base: &str| Url::parse(&format!("{base}{page}")).unwrap();
        let asked = "https://me:secret@example.org/a";
        let same = moved_base(asked, &came("https://example.org/b"), page);
        assert_eq!(same.as_deref(), Some("https://me:secret@example.org/b"));
        let other = moved_base(asked, &came("https://evil.example/b"), page);
        assert_eq!(other.as_deref(), Some("https://evil.example/b"));
        let port = moved_base(asked, &came("https://example.org:8443/b"), page);
        assert_eq!(port.as_deref(), Some("https://example.org:8443/b"));
        let plain = moved_base(asked, &came("http://example.org/b"), page);
        assert_eq!(plain.as_deref(), Some("http://example.org/b"));
    }

    #[test]
    fn a_server_leads_to_itself_alone() {
        let led = |from: &str, to: &str| {
            let url = |text: &str| Url::parse(text).unwrap();
            fault(&url(from), &url(to)).is_none()
        };
        assert!(led("https://example.org/a", "https://example.org/b"));
        assert!(led("http://example.org/a", "https://example.org/a"));
        for to in [
            "http://example.org/a",
            "https://example.org:8443/a",
            "https://evil.example/a",
            "https://example.org.evil.example/a",
            "https://169.254.169.254/a",
            "https://user@127.0.0.1/a",
            "ftp://example.org/a",
        ] {
            assert!(!led("https://example.org/a", to), "{to}");
        }
        let pack = "https://example.org/a/git-upload-pack";
        assert!(!led(pack, "https://example.org/b/git-upload-pack"));
    }
}
