//! The registry protocol where a registry, or the network before it, is less kind.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod front;

use std::sync::atomic::{AtomicUsize, Ordering};

use front::{Act, Front};
use keel_images::testing::{TestImage, TestLayer, TestRegistry};
use keel_images::{
    Credentials, Digest, Error, Image, LayerStep, Platform, Progress, Reference, Registries,
    RegistryConfig, Result, Store,
};

struct Bench {
    root: tempfile::TempDir,
    registry: TestRegistry,
}

impl Bench {
    /// A registry with one image of a layer that does not compress.
    fn new() -> Self {
        let registry = TestRegistry::start();
        let noise: Vec<u8> =
            (0_u32..1 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let layer = TestLayer::new().file("noise", noise);
        registry.push("web:1", &TestImage::new().layer(layer));
        Self { root: tempfile::tempdir().unwrap(), registry }
    }

    async fn pull(
        &self,
        front: &Front,
        credentials: Credentials,
        report: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Image> {
        let store = Store::open(self.root.path()).unwrap();
        let name: Reference = format!("{}/web:1", front.address()).parse().unwrap();
        let registries = Registries::new(RegistryConfig::default(), credentials).unwrap();
        store.pull(&name, &Platform::host(), &registries, report).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_download_goes_on_where_it_was() {
    let bench = Bench::new();
    let front = Front::start(bench.registry.address(), |head| {
        let cut = (head.contains("/blobs/") && !head.contains("bytes=6")).then_some(300_000);
        Act::Forward { cut }
    });
    let retries = AtomicUsize::new(0);
    let report = |progress| {
        if matches!(progress, Progress::Layer { step: LayerStep::Retrying { .. }, .. }) {
            retries.fetch_add(1, Ordering::Relaxed);
        }
    };
    let image = bench.pull(&front, Credentials::none(), &report).await.unwrap();
    assert_eq!(image.size, 1 << 20);
    assert!(retries.into_inner() >= 2);
    let ranges = front.heads().iter().filter(|head| head.contains("range: bytes=")).count();
    assert!(ranges >= 2, "{:?}", front.heads());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ignores_ranges_is_read_from_the_start() {
    let bench = Bench::new();
    let mut first = true;
    let front = Front::start(bench.registry.address(), move |head| {
        let layer = head.contains("/blobs/") && !head.contains("range: ");
        match layer && std::mem::take(&mut first) {
            // The configuration is shorter than that and comes whole.
            true => Act::Forward { cut: None },
            false if layer => Act::Forward { cut: Some(300_000) },
            false => Act::ForwardWhole,
        }
    });
    let image = bench.pull(&front, Credentials::none(), &|_| ()).await.unwrap();
    assert_eq!(image.size, 1 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_fetched_for_the_login_and_used() {
    let bench = Bench::new();
    let (sender, receiver) = std::sync::mpsc::channel::<String>();
    let mut address = String::new();
    let front = Front::start(bench.registry.address(), move |head| {
        if address.is_empty() {
            address = receiver.recv().unwrap();
        }
        if head.starts_with("GET /token?") {
            // "me:secret"
            let known = head.contains("authorization: Basic bWU6c2VjcmV0");
            let scope = head.contains("scope=repository%3Aweb%3Apull");
            return match known && scope && head.contains("service=front") {
                true => Act::Answer("200 OK", String::new(), r#"{"token":"T0ken"}"#.into()),
                false => Act::Answer("401 Unauthorized", String::new(), String::new()),
            };
        }
        if head.contains("authorization: Bearer T0ken") {
            return Act::Forward { cut: None };
        }
        let challenge = format!(
            "www-authenticate: Bearer realm=\"http://{address}/token\",service=\"front\"\r\n"
        );
        Act::Answer("401 Unauthorized", challenge, String::new())
    });
    sender.send(front.address().to_owned()).unwrap();

    let denied = bench.pull(&front, Credentials::none(), &|_| ()).await.unwrap_err();
    assert!(matches!(denied, Error::Denied { with_login: false, .. }), "{denied}");
    let credentials = Credentials::file(bench.root.path().join("config.json"));
    credentials.store(front.address(), "me", "secret").unwrap();
    bench.pull(&front, credentials, &|_| ()).await.unwrap();
    let tokens = front.heads().iter().filter(|head| head.starts_with("GET /token")).count();
    assert_eq!(tokens, 2, "one was refused, and one served the whole pull");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_elsewhere_does_not_carry_the_login() {
    let bench = Bench::new();
    let away = Front::start(bench.registry.address(), |_| Act::Forward { cut: None });
    let to = away.address().to_owned();
    let front = Front::start(bench.registry.address(), move |head| {
        if !head.contains("authorization: ") {
            let challenge = "www-authenticate: Basic realm=\"x\"\r\n".to_owned();
            return Act::Answer("401 Unauthorized", challenge, String::new());
        }
        match head.split_once(" HTTP").unwrap().0.strip_prefix("GET ").unwrap() {
            path if path.contains("/blobs/") => Act::Answer(
                "307 Temporary Redirect",
                format!("location: http://{to}{path}\r\n"),
                String::new(),
            ),
            _ => Act::Forward { cut: None },
        }
    });
    let credentials = Credentials::file(bench.root.path().join("config.json"));
    credentials.store(front.address(), "me", "secret").unwrap();
    bench.pull(&front, credentials, &|_| ()).await.unwrap();
    assert_eq!(away.heads().len(), 2, "the configuration and the layer");
    assert!(!away.heads().iter().any(|head| head.contains("authorization")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_registry_is_asked_again() {
    let bench = Bench::new();
    let mut busy = 2;
    let front = Front::start(bench.registry.address(), move |_| match busy {
        0 => Act::Forward { cut: None },
        _ => {
            busy -= 1;
            Act::Answer("503 Service Unavailable", "retry-after: 0\r\n".into(), String::new())
        }
    });
    bench.pull(&front, Credentials::none(), &|_| ()).await.unwrap();

    let message = r#"{"errors":[{"code":"X","message":"too many pulls"}]}"#;
    let front = Front::start(bench.registry.address(), move |_| {
        Act::Answer("429 Too Many Requests", "retry-after: 3600\r\n".into(), message.into())
    });
    let error = bench.pull(&front, Credentials::none(), &|_| ()).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().ends_with("too many pulls"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_have_a_limit() {
    let bench = Bench::new();
    let front = Front::start(bench.registry.address(), |_| {
        Act::Answer("200 OK", String::new(), " ".repeat(5 << 20))
    });
    let error = bench.pull(&front, Credentials::none(), &|_| ()).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 4_194_304, .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_is_not_the_one_asked_for_is_refused() {
    let bench = Bench::new();
    let other = TestImage::new().with("User", "root");
    let (sent, got) = (other.manifest(), other.digest());
    let front = Front::start(bench.registry.address(), move |_| {
        Act::Answer("200 OK", String::new(), String::from_utf8(sent.clone()).unwrap())
    });
    let asked = Digest::of(b"another");
    let name: Reference = format!("{}/web@{asked}", front.address()).parse().unwrap();
    let store = Store::open(bench.root.path()).unwrap();
    let registries = Registries::new(RegistryConfig::default(), Credentials::none()).unwrap();
    let error = store.pull(&name, &Platform::host(), &registries, &|_| ()).await.unwrap_err();
    let expected =
        format!("manifest from registry `{}` has digest {got} instead of {asked}", front.address());
    assert_eq!(error.to_string(), expected);
    assert_eq!(store.resolve_local(&name).unwrap(), None);
}
