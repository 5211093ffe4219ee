//! `POST /hooks/NAME`, and nothing else.

use crate::deliveries::Deliveries;
use crate::forge::{Asked, Forge, text};
use crate::mac::Check;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::ALLOW;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// Reads the secret, at each delivery: a new one counts at once.
pub type Secret = Arc<dyn Fn() -> io::Result<Vec<u8>> + Send + Sync>;

/// Who may speak for a source.
pub struct Hook {
    /// The source.
    pub name: String,
    /// How it is proven.
    pub forge: &'static Forge,
    /// With what.
    pub secret: Secret,
}

/// What happened, for whoever refreshes and logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// A source is to be looked at.
    Refresh {
        /// Which.
        name: String,
    },
    /// Proven, and nothing to do: a ping, another event, or one that came before.
    Ignored {
        /// The source.
        name: String,
    },
    /// Not proven.
    Refused {
        /// The source; `None` where there is no such hook.
        name: Option<String>,
        /// From where it came.
        from: SocketAddr,
        /// Why, for people. Nothing in it was sent.
        why: String,
    },
}

/// What a sender may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of a body: the most that a forge sends.
    pub body: u64,
    /// Until the headers are there.
    pub headers: Duration,
    /// Until everything is said.
    pub whole: Duration,
    /// At once; beyond, the oldest is cut off.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 25 << 20,
            headers: Duration::from_secs(10),
            whole: Duration::from_secs(40),
            connections: 256,
        }
    }
}

/// Bytes of the headers.
const HEADERS: usize = 64 << 10;
/// After a connection could not be taken: too many files are open, say.
const BREATH: Duration = Duration::from_millis(100);

struct Shared {
    hooks: BTreeMap<String, (Hook, Mutex<Deliveries>)>,
    told: Box<dyn Fn(Told) + Send + Sync>,
    limits: Limits,
}

/// Answers until it is dropped. `told` must not wait.
pub async fn serve(
    listener: TcpListener,
    hooks: Vec<Hook>,
    limits: Limits,
    told: impl Fn(Told) + Send + Sync + 'static,
) {
    let hooks = hooks.into_iter().map(|hook| (hook.name.clone(), (hook, Mutex::default())));
    let shared = Arc::new(Shared { hooks: hooks.collect(), told: Box::new(told), limits });
    let mut open = JoinSet::new();
    let mut order: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let accepted = listener.accept().await;
        while open.try_join_next().is_some() {}
        let Ok((stream, from)) = accepted else {
            tokio::time::sleep(BREATH).await;
            continue;
        };
        order.retain(|connection| !connection.is_finished());
        if order.len() >= limits.connections {
            // Whoever is quick never becomes the oldest.
            order.pop_front().inspect(AbortHandle::abort);
        }
        order.push_back(open.spawn(connection(stream, from, shared.clone())));
    }
}

async fn connection(stream: TcpStream, from: SocketAddr, shared: Arc<Shared>) {
    let limits = shared.limits;
    let answer = service_fn(move |request| {
        let shared = shared.clone();
        async move { Ok::<_, Infallible>(shared.answer(request, from).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.headers)
        .max_buf_size(HEADERS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer);
    // One that breaks off or takes too long is the sender's loss.
    let _ = tokio::time::timeout(limits.whole, serving).await;
}

type Answer = Response<Full<Bytes>>;

fn answer(status: StatusCode, words: &'static str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from_static(words.as_bytes())));
    *answer.status_mut() = status;
    answer
}

impl Shared {
    async fn answer(&self, request: Request<Incoming>, from: SocketAddr) -> Answer {
        let Some(name) = request.uri().path().strip_prefix("/hooks/").map(str::to_owned) else {
            return answer(StatusCode::NOT_FOUND, "hooks are at /hooks/NAME\n");
        };
        if request.method() != Method::POST {
            let mut refused = answer(StatusCode::METHOD_NOT_ALLOWED, "hooks are sent by POST\n");
            refused.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static("POST"));
            return refused;
        }
        let (head, body) = request.into_parts();
        let known = self.hooks.get(&name);
        let begun = match known {
            Some((hook, _)) => hook.begin(&head.headers),
            None => Err("there is no such hook".to_owned()),
        };
        match (self.proven(begun, body).await, known) {
            (Err(Broken::TooLong), _) => answer(StatusCode::PAYLOAD_TOO_LARGE, "too long\n"),
            (Err(Broken::Gone), _) => answer(StatusCode::BAD_REQUEST, "it broke off\n"),
            (Ok(Ok(())), Some((hook, deliveries))) => {
                (self.told)(hook.take(&head.headers, deliveries));
                answer(StatusCode::ACCEPTED, "accepted\n")
            }
            (Ok(done), known) => {
                let name = known.map(|(hook, _)| hook.name.clone());
                let why = done.err().unwrap_or_default();
                (self.told)(Told::Refused { name, from, why });
                answer(StatusCode::UNAUTHORIZED, "not proven\n")
            }
        }
    }

    /// Reads the whole body in any case: who is refused early would know why.
    async fn proven(
        &self,
        begun: Result<Check, String>,
        mut body: Incoming,
    ) -> Result<Result<(), String>, Broken> {
        if body.size_hint().lower() > self.limits.body {
            return Err(Broken::TooLong);
        }
        let (mut check, refused) = match begun {
            Ok(check) => (check, None),
            // The work is done all the same, to no end.
            Err(why) => (Check::mac(&[], vec![vec![0; 32]]), Some(why)),
        };
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            let Ok(bytes) = frame.map_err(|_| Broken::Gone)?.into_data() else { continue };
            length += bytes.len() as u64;
            if length > self.limits.body {
                return Err(Broken::TooLong);
            }
            check.update(&bytes);
        }
        let holds = check.holds();
        Ok(match refused {
            Some(why) => Err(why),
            None if holds => Ok(()),
            None => Err("its signature is that of another secret or body".to_owned()),
        })
    }
}

/// Why a body cannot be judged.
enum Broken {
    TooLong,
    Gone,
}

impl Hook {
    fn begin(&self, headers: &HeaderMap) -> Result<Check, String> {
        let secret =
            (self.secret)().map_err(|error| format!("our secret cannot be read: {error}"))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let asked = Asked { headers, secret: &secret, now };
        (self.forge.begin)(&asked).map_err(str::to_owned)
    }

    /// What a proven delivery asks for.
    fn take(&self, headers: &HeaderMap, deliveries: &Mutex<Deliveries>) -> Told {
        let id = self.forge.ids.iter().find_map(|name| text(headers, name));
        let wanted = (self.forge.wanted)(headers);
        let again = deliveries.lock().expect("nothing panics while it holds them").known(id);
        let name = self.name.clone();
        if wanted && !again { Told::Refresh { name } } else { Told::Ignored { name } }
    }
}
