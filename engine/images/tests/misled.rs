//! A registry, or what it leads to, wants logins and requests that are not its own.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod front;

use std::sync::mpsc::channel;

use front::{Act, Front};
use keel_images::testing::{TestImage, TestLayer, TestRegistry};
use keel_images::{
    Credentials, Error, Image, Misled, Platform, Reference, Registries, RegistryConfig, Result,
    Store,
};

struct Bench {
    root: tempfile::TempDir,
    registry: TestRegistry,
}

impl Bench {
    fn new() -> Self {
        let registry = TestRegistry::start();
        registry.push("web:1", &TestImage::new().layer(TestLayer::new().file("x", "x")));
        Self { root: tempfile::tempdir().unwrap(), registry }
    }

    /// A registry that does as `judge` says of each request's head.
    fn front(&self, judge: impl FnMut(&str) -> Act + Send + 'static) -> Front {
        Front::start(self.registry.address(), judge)
    }

    /// Somebody with a login for `front`.
    async fn pull(&self, front: &Front, config: RegistryConfig) -> Result<Image> {
        let credentials = Credentials::file(self.root.path().join("config.json"));
        credentials.store(front.address(), "me", "s3cret").unwrap();
        let store = Store::open(self.root.path()).unwrap();
        let name: Reference = format!("{}/web:1", front.address()).parse().unwrap();
        let registries = Registries::new(config, credentials).unwrap();
        store.pull(&name, &Platform::host(), &registries, &|_| ()).await
    }
}

fn challenge(words: &str) -> Act {
    Act::Answer("401 Unauthorized", format!("www-authenticate: {words}\r\n"), String::new())
}

fn redirect(to: &str) -> Act {
    Act::Answer("307 Temporary Redirect", format!("location: {to}\r\n"), String::new())
}

fn path(head: &str) -> String {
    head.split(' ').nth(1).unwrap().to_owned()
}

/// What of all that was sent there tells who we are.
fn logins(front: &Front) -> Vec<String> {
    let lines: Vec<_> = front
        .heads()
        .iter()
        .flat_map(|h| h.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    lines.into_iter().filter(|line| line.to_lowercase().starts_with("authorization")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_redirected_to_cannot_ask_for_the_login() {
    let bench = Bench::new();
    for words in ["Basic realm=\"x\"", "Bearer realm=\"http://HERE/token\",service=\"x\""] {
        let (sender, receiver) = channel::<String>();
        let mut here = String::new();
        let thief = bench.front(move |head| {
            if here.is_empty() {
                here = receiver.recv().unwrap();
            }
            match head.starts_with("GET /token") {
                true => Act::Answer("200 OK", String::new(), r#"{"token":"t"}"#.into()),
                false => challenge(&words.replace("HERE", &here)),
            }
        });
        sender.send(thief.address().to_owned()).unwrap();
        let to = thief.address().to_owned();
        let front = bench.front(move |head| match head.contains("/blobs/") {
            true => redirect(&format!("http://{to}{}", path(head))),
            false => Act::Forward { cut: None },
        });
        let error = bench.pull(&front, RegistryConfig::default()).await.unwrap_err();
        assert!(matches!(error, Error::Denied { .. }), "{error}");
        assert_eq!(thief.heads().len(), 1, "asked once: {:?}", thief.heads());
        assert_eq!((logins(&thief), logins(&front)), (vec![], vec![]), "{words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_service_elsewhere_gets_the_login_only_if_it_is_named() {
    let bench = Bench::new();
    let service = bench.front(|_| Act::Answer("200 OK", String::new(), r#"{"token":"T"}"#.into()));
    let realm = format!("Bearer realm=\"http://{}/token\",service=\"x\"", service.address());
    let front = bench.front(move |head| match head.contains("authorization: Bearer T") {
        true => Act::Forward { cut: None },
        false => challenge(&realm),
    });
    let error = bench.pull(&front, RegistryConfig::default()).await.unwrap_err();
    assert!(matches!(error, Error::Misled { why: Misled::Realm, .. }), "{error}");
    assert!(error.to_string().contains(&format!("leads to `http://{}`", service.address())));
    assert!(service.heads().is_empty(), "{:?}", service.heads());
    let hint = error.hint().unwrap();
    let key = format!("\"{}\": {{ auth-hosts: [\"{}\"] }}", front.address(), service.address());
    assert!(hint.contains(&key), "{hint}");

    let auth_hosts = [(front.address().to_owned(), vec![service.address().to_owned()])].into();
    let config = RegistryConfig { auth_hosts, ..RegistryConfig::default() };
    bench.pull(&front, config).await.unwrap();
    // "me:s3cret"
    assert_eq!(logins(&service), ["authorization: Basic bWU6czNjcmV0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_with_logins_to_nowhere_or_without_end_are_refused() {
    let bench = Bench::new();
    let own = bench.registry.address();
    let cases = [
        (format!("http://someone@{own}/x"), Some(Misled::UserInfo)),
        (format!("http://:secret@{own}/x"), Some(Misled::UserInfo)),
        ("file:///etc/passwd".into(), Some(Misled::Scheme)),
        ("gopher://127.0.0.1/x".into(), Some(Misled::Scheme)),
        ("http://169.254.169.254/latest/meta-data".into(), Some(Misled::Forbidden)),
        ("http://2852039166/".into(), Some(Misled::Forbidden)),
        ("http://[fe80::1]/".into(), Some(Misled::Forbidden)),
        ("http://[fd00:ec2::254]/".into(), Some(Misled::Forbidden)),
        ("/v2/again".into(), None),
    ];
    for (location, expected) in cases {
        let to = location.clone();
        let front = bench.front(move |_| redirect(&to));
        let error = bench.pull(&front, RegistryConfig::default()).await.unwrap_err();
        match (&error, expected) {
            (Error::Misled { why, .. }, Some(expected)) => assert_eq!(*why, expected),
            (Error::Answer { status: 302, .. }, None) => assert_eq!(front.heads().len(), 10),
            _ => panic!("{location}: {error}"),
        }
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_with_a_metadata_address_is_never_asked() {
    let bench = Bench::new();
    let store = Store::open(bench.root.path()).unwrap();
    let registries = Registries::new(RegistryConfig::default(), Credentials::none()).unwrap();
    for host in [
        "169.254.169.254",
        "2852039166:80",
        "0xa9.0xfea9fe",
        "[fe80::1]:80",
        "[::ffff:169.254.169.254]:80",
    ] {
        let name: Reference = format!("{host}/x").parse().unwrap();
        let error = store.pull(&name, &Platform::host(), &registries, &|_| ()).await.unwrap_err();
        assert!(matches!(error, Error::Misled { why: Misled::Forbidden, .. }), "{host}: {error}");
        assert!(!error.is_transient(), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_fits_in_no_header_is_refused() {
    let bench = Bench::new();
    let (sender, receiver) = channel::<String>();
    let mut here = String::new();
    let front = bench.front(move |head| {
        if here.is_empty() {
            here = receiver.recv().unwrap();
        }
        match head.starts_with("GET /token") {
            true => {
                let token = format!(r#"{{"token":"{}"}}"#, "t".repeat(100_000));
                Act::Answer("200 OK", String::new(), token)
            }
            false => challenge(&format!("Bearer realm=\"http://{here}/token\"")),
        }
    });
    sender.send(front.address().to_owned()).unwrap();
    let error = bench.pull(&front, RegistryConfig::default()).await.unwrap_err();
    assert!(error.to_string().contains("its token is too long"), "{error}");
}
