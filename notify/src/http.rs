//! The only place that speaks to the network.

use crate::limits::{BODY, CONNECT, LONGEST_WAIT, WHOLE};
use crate::request::{Answer, DeliveryResult, Request};
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Response, Url};
use std::error::Error;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Sends requests. Clients are made when they are first needed, and kept.
#[derive(Default)]
pub struct Http {
    /// For this machine: no proxy, no certificates.
    near: OnceLock<Client>,
    /// Reads the system's CA certificates.
    far: OnceLock<Client>,
}

impl Http {
    /// Nothing is opened yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends it; `judge` says what the answer means. Never takes longer than half a minute.
    pub async fn send(
        &self,
        request: &Request,
        judge: impl Fn(&Answer) -> DeliveryResult,
    ) -> DeliveryResult {
        match self.answer(request).await {
            Ok(answer) => judge(&answer),
            Err(why) => why,
        }
    }

    async fn answer(&self, request: &Request) -> Result<Answer, DeliveryResult> {
        let refused = |why: &str| DeliveryResult::Refused { why: why.to_owned() };
        // The parser leaves line breaks out silently, which makes another address.
        let text = Some(request.url.as_str()).filter(|text| !text.contains(char::is_control));
        let url = text.and_then(|text| Url::parse(text).ok());
        let url = url.ok_or_else(|| refused("that is not a URL"))?;
        let client = self.client(&url).map_err(|error| away(&error))?;
        let mut sent = client.post(url).header(CONTENT_TYPE, "application/json");
        for (name, value) in &request.headers {
            sent = sent.header(*name, value);
        }
        let response = sent.body(request.body.clone()).send().await.map_err(|e| away(&e))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Answer {
            status,
            retry_after: wait(&headers),
            exhausted: headers.contains_key(RETRY_AFTER) || number(&headers, REMAINING) == Some(0),
            body: beginning(response).await,
        })
    }

    fn client(&self, url: &Url) -> reqwest::Result<&Client> {
        let near = url.scheme() == "http" && url.host_str().is_some_and(is_loopback);
        let slot = if near { &self.near } else { &self.far };
        if let Some(client) = slot.get() {
            return Ok(client);
        }
        let client = builder(near).build()?;
        Ok(slot.get_or_init(|| client))
    }
}

/// How many requests are left in the present hour.
const REMAINING: &str = "x-ratelimit-remaining";

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// In seconds; its date form is too rare to be worth it.
fn wait(headers: &HeaderMap) -> Option<Duration> {
    let seconds = number(headers, RETRY_AFTER.as_str())?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}

/// What comes after it, or does not come, matters to nobody.
async fn beginning(mut response: Response) -> String {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = BODY - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == BODY {
            break;
        }
    }
    String::from_utf8_lossy(&body).into_owned()
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// What cannot be reached may be reached later. Without the URL: it may be a secret.
fn away(error: &reqwest::Error) -> DeliveryResult {
    // A header that no server can be sent: a token with a newline in it.
    if error.is_builder() {
        return DeliveryResult::Refused { why: "the token cannot be sent as it is".to_owned() };
    }
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let why = match error.is_timeout() {
        true if error.is_connect() => "does not answer in time".to_owned(),
        true => "hangs: it took the request and did not answer in time".to_owned(),
        false => format!("cannot be reached: {cause}"),
    };
    DeliveryResult::Later { why, wait: None }
}

fn builder(near: bool) -> reqwest::ClientBuilder {
    let mut roots = rustls::RootCertStore::empty();
    if !near {
        // What cannot be read is left out: one broken file must not silence everything.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let builder = Client::builder()
        .user_agent(concat!("keel/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT)
        .timeout(WHOLE)
        .redirect(reqwest::redirect::Policy::none())
        .tls_backend_preconfigured(tls(roots));
    if near { builder.no_proxy() } else { builder }
}

/// With ring by name, so that no process-wide default is needed or touched.
fn tls(roots: rustls::RootCertStore) -> rustls::ClientConfig {
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .expect("ring knows the default protocol versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    // The client is built without HTTP/2, which servers would choose if it were offered.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// What becomes of a request to a server that says this once.
    async fn sent(answer: String) -> (DeliveryResult, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/secret", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = vec![0; 4096];
            let read = stream.read(&mut asked).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&asked[..read]).into_owned()
        });
        let request =
            Request { url, headers: vec![("x-signature", "s".into())], body: b"{}".to_vec() };
        let verdict = Http::new().send(&request, Answer::verdict).await;
        (verdict, server.join().unwrap())
    }

    #[tokio::test]
    async fn answers_mean_what_they_say() {
        let close = "content-length: 0\r\nconnection: close\r\n\r\n";
        let (done, asked) = sent(format!("HTTP/1.1 204 No Content\r\n{close}")).await;
        assert_eq!(done, DeliveryResult::Done);
        for words in ["POST /secret", "x-signature: s", "user-agent: keel/", "application/json"] {
            assert!(asked.contains(words), "{asked}");
        }
        let busy = format!("HTTP/1.1 429 Slow\r\nretry-after: 7\r\n{close}");
        let (later, _) = sent(busy).await;
        let wait = Some(Duration::from_secs(7));
        assert!(matches!(later, DeliveryResult::Later { wait: w, .. } if w == wait), "{later:?}");
        let moved = format!("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\n{close}");
        let (refused, _) = sent(moved).await;
        assert!(matches!(refused, DeliveryResult::Refused { .. }), "{refused:?}");
    }

    #[tokio::test]
    async fn nobody_there_is_for_later_and_names_no_url() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url = format!("http://127.0.0.1:{port}/secret");
        let request = Request { url, headers: vec![], body: vec![] };
        let verdict = Http::new().send(&request, Answer::verdict).await;
        let DeliveryResult::Later { why, .. } = verdict else { panic!("{verdict:?}") };
        assert!(why.starts_with("cannot be reached: ") && !why.contains("secret"), "{why}");
    }

    #[tokio::test]
    async fn an_endless_answer_is_read_to_a_limit() {
        let body = "x".repeat(BODY * 4);
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        assert_eq!(sent(answer).await.0, DeliveryResult::Done);
    }
}
