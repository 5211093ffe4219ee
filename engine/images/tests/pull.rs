//! Pulls from a real registry into a real store.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use keel_testing::waiting::until_holds;
use std::collections::BTreeSet;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use keel_images::testing::{PASSWORD, TestImage, TestLayer, TestRegistry, USER};
use keel_images::{
    Credentials, Digest, Error, Image, LayerStep, Platform, Progress, Reference, Registries,
    RegistryConfig, Result, Store,
};
use tempfile::TempDir;

/// A node's images, and a registry to pull them from.
struct Bench {
    root: TempDir,
    store: Store,
    registry: TestRegistry,
}

impl Bench {
    fn new() -> Self {
        Self::with(TestRegistry::start())
    }

    fn with(registry: TestRegistry) -> Self {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        Self { root, store, registry }
    }

    fn name(&self, name: &str) -> Reference {
        self.registry.name(name).parse().unwrap()
    }

    async fn pull(&self, name: &str) -> Result<Image> {
        pull(&self.store, &self.name(name), &anonymous()).await
    }

    fn images(&self) -> PathBuf {
        self.root.path().join("images")
    }

    /// What is in the store: names, blobs, layers, and unfinished things.
    fn counts(&self) -> [usize; 4] {
        let staged = std::fs::read_dir(self.images().join("temp")).unwrap();
        let staged = staged.flatten().map(|session| count(&session.path())).sum();
        let kept = ["references", "blobs/sha256", "layers"];
        let [names, blobs, layers] = kept.map(|folder| count(&self.images().join(folder)));
        [names, blobs, layers, staged]
    }
}

fn count(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

fn anonymous() -> Registries {
    Registries::new(RegistryConfig::default(), Credentials::none()).unwrap()
}

async fn pull(store: &Store, name: &Reference, registries: &Registries) -> Result<Image> {
    store.pull(name, &Platform::host(), registries, &|_| ()).await
}

fn read(image: &Image, layer: usize, path: &str) -> String {
    std::fs::read_to_string(image.layers[layer].join(path)).unwrap()
}

/// Two layers in the two compressions, and a configuration.
fn web() -> TestImage {
    TestImage::new()
        .layer(TestLayer::new().folder("etc").file("etc/motd", "below").gzip())
        .layer(TestLayer::new().file("etc/.wh.motd", "").file("srv/index", "hello").zstd())
        .cmd(["/bin/web", "-v"])
        .with("Env", vec!["A=b"])
        .with("ExposedPorts", serde_json::json!({"80/tcp": {}}))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_comes_by_tag_and_by_digest() {
    let bench = Bench::new();
    let digest = bench.registry.push("team/web:1.0", &web());
    let image = bench.pull("team/web:1.0").await.unwrap();

    assert_eq!((image.digest, image.manifest), (digest, digest));
    assert_eq!(image.id, Digest::of(&web().config()));
    assert_eq!(image.config.cmd, ["/bin/web", "-v"]);
    assert_eq!(image.size, 10);
    assert_eq!(read(&image, 0, "etc/motd"), "below");
    assert_eq!(read(&image, 1, "srv/index"), "hello");
    let gone = image.layers[1].join("etc/motd").symlink_metadata().unwrap();
    assert!(gone.file_type().is_char_device() && gone.rdev() == 0);

    let name = bench.name("team/web:1.0");
    assert_eq!(bench.store.resolve_local(&name).unwrap().as_ref(), Some(&image));
    let pinned = name.pinned(digest);
    assert_eq!(bench.store.resolve_local(&pinned).unwrap().as_ref(), Some(&image));
    assert_eq!(bench.store.resolve_local(&bench.name("team/web:2")).unwrap(), None);
    let listed = bench.store.list().unwrap();
    assert_eq!((listed.len(), &listed[0].reference, listed[0].id), (1, &name, image.id));

    let elsewhere = tempfile::tempdir().unwrap();
    let other = Store::open(elsewhere.path()).unwrap();
    let by_digest: Reference =
        format!("{}@{digest}", bench.registry.name("team/web")).parse().unwrap();
    assert_eq!(pull(&other, &by_digest, &anonymous()).await.unwrap().id, image.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_index_the_image_for_this_machine_is_taken() {
    let bench = Bench::new();
    let foreign = web().platform(Platform::linux("mips")).with("User", "nobody");
    let digest = bench.registry.push_index("web:multi", &[foreign.clone(), web()]);
    let image = bench.pull("web:multi").await.unwrap();
    assert_eq!((image.digest, image.manifest), (digest, web().digest()));
    let pinned = bench.name("web").pinned(digest);
    assert_eq!(bench.store.resolve_local(&pinned).unwrap(), Some(image));

    bench.registry.push_index("web:foreign", &[foreign]);
    let error = bench.pull("web:foreign").await.unwrap_err();
    assert!(matches!(error, Error::NoPlatform { .. }), "{error}");
    assert!(error.to_string().contains(" is for linux/mips; this host is "), "{error}");

    // One image alone says what it is for only in its configuration; an index may be wrong.
    let arm = web().platform(Platform::linux("mips"));
    bench.registry.push("web:alone", &arm);
    let error = bench.pull("web:alone").await.unwrap_err();
    assert!(error.to_string().contains("web:alone` is for linux/mips; this host is"), "{error}");
    let windows = Platform { os: "windows".into(), ..Platform::host() };
    bench.registry.push("web:windows", &web().platform(windows));
    let error = bench.pull("web:windows").await.unwrap_err();
    assert!(error.to_string().contains("is for windows/"), "{error}");
    assert_eq!(bench.store.list().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_is_asked_first_and_the_next_one_when_it_fails() {
    let bench = Bench::new();
    bench.registry.push("library/demo:latest", &web());
    let mirror = format!("http://{}", bench.registry.address());
    let mirrors = |urls: &[&str]| RegistryConfig {
        mirrors: [("docker.io".to_owned(), urls.iter().map(|url| (*url).to_owned()).collect())]
            .into(),
        ..RegistryConfig::default()
    };
    let name: Reference = "demo".parse().unwrap();
    // Port 1 refuses at once.
    let config = mirrors(&["http://127.0.0.1:1", &mirror]);
    let registries = Registries::new(config, Credentials::none()).unwrap();
    let image = pull(&bench.store, &name, &registries).await.unwrap();
    assert_eq!(image.digest, web().digest());
    assert_eq!(bench.store.list().unwrap()[0].reference.to_string(), "demo:latest");

    // Where only the mirror can be reached, its answer is the one that counts.
    let config = RegistryConfig {
        mirrors: [("127.0.0.1:1".to_owned(), vec![mirror])].into(),
        ..RegistryConfig::default()
    };
    let registries = Registries::new(config, Credentials::none()).unwrap();
    let missing = "127.0.0.1:1/missing".parse().unwrap();
    let error = pull(&bench.store, &missing, &registries).await.unwrap_err();
    assert!(error.is_missing(), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_or_out_of_reach_is_told_apart() {
    let bench = Bench::new();
    bench.registry.push("web:1", &web());
    let missing = bench.pull("web:2").await.unwrap_err();
    let expected = format!("image `web:2` is not in registry `{}`", bench.registry.address());
    assert_eq!(missing.to_string(), expected);
    assert!(missing.is_missing() && !missing.is_transient());

    let nobody: Reference = "127.0.0.1:1/web".parse().unwrap();
    let unreachable = pull(&bench.store, &nobody, &anonymous()).await.unwrap_err();
    assert!(unreachable.is_transient() && !unreachable.is_missing(), "{unreachable}");
    assert!(unreachable.hint().is_some());
    assert_eq!(bench.counts(), [0, 0, 0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_taken_from_the_config_file() {
    let bench = Bench::with(TestRegistry::start_with_password());
    bench.registry.push("private:1", &web());
    let address = bench.registry.address();

    let denied = bench.pull("private:1").await.unwrap_err();
    assert!(matches!(denied, Error::Denied { with_login: false, .. }), "{denied}");
    assert_eq!(
        denied.hint().unwrap().split(';').next().unwrap(),
        format!("`keel login {address}` stores credentials")
    );

    let file = bench.root.path().join("docker/config.json");
    let credentials = Credentials::file(&file);
    let registries = Registries::new(RegistryConfig::default(), credentials.clone()).unwrap();
    registries.check_login(&address, USER, PASSWORD).await.unwrap();
    let wrong = registries.check_login(&address, USER, "guess").await.unwrap_err();
    assert!(matches!(wrong, Error::Denied { with_login: true, .. }), "{wrong}");
    assert!(!format!("{wrong} {wrong:?}").contains("guess"));

    credentials.store(&address, USER, PASSWORD).unwrap();
    let image = pull(&bench.store, &bench.name("private:1"), &registries).await.unwrap();
    assert_eq!(image.digest, web().digest());
}

#[tokio::test(flavor = "multi_thread")]
async fn spoilt_content_is_refused_and_leaves_nothing() {
    let layer = TestLayer::new().file("x", "the content that was signed for").gzip();
    let longer = [layer.blob().0, b"more".to_vec()].concat();
    let mut changed = layer.blob().0;
    changed[15] ^= 1;
    for spoilt in [longer, changed, b"garbage".to_vec(), Vec::new()] {
        let bench = Bench::new();
        let image = TestImage::new().layer(layer.clone());
        bench.registry.push("web:1", &image);
        let blob = Digest::of(&layer.blob().0);
        std::fs::write(bench.registry.blob_file(blob), &spoilt).unwrap();
        let error = bench.pull("web:1").await.unwrap_err();
        match &error {
            Error::WrongDigest { expected, got, .. } => {
                assert_eq!((*expected, *got), (blob, Digest::of(&spoilt)));
                assert!(error.to_string().contains(&blob.to_string()), "{error}");
            }
            Error::WrongSize { digest, .. } => assert_eq!(*digest, blob),
            other => panic!("{other}"),
        }
        // The configuration was right and may stay; no name, no layer, nothing unfinished.
        assert_eq!(bench.counts(), [0, 1, 0, 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_layer_is_refused_and_leaves_nothing() {
    let bench = Bench::new();
    let outside = bench.root.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    let out = outside.display().to_string();
    let cases = [
        ("up:1", TestLayer::new().file("../../../../../../outside/x", "x")),
        ("link:1", TestLayer::new().symlink("evil", &out).file("evil/x", "x")),
        ("hard:1", TestLayer::new().hard_link("x", "../../../../etc/passwd")),
    ];
    for (name, layer) in cases {
        bench.registry.push(name, &TestImage::new().layer(layer.gzip()));
        let error = bench.pull(name).await.unwrap_err();
        let Error::Unpack { source, .. } = &error else { panic!("{name}: {error}") };
        assert!(source.to_string().contains("out of the layer"), "{name}: {source}");
        assert!(error.hint().unwrap().contains("malicious"));
    }
    assert_eq!(count(&outside), 0);
    let [names, _, layers, staged] = bench.counts();
    assert_eq!([names, layers, staged], [0, 0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn pulls_at_once_share_their_layers() {
    let bench = Bench::new();
    let base = TestLayer::new().file("base", vec![7; 3 << 20]).gzip();
    let image = |n: &str| TestImage::new().layer(base.clone()).layer(TestLayer::new().file(n, n));
    for n in ["a", "b", "c"] {
        bench.registry.push(&format!("{n}:1"), &image(n));
    }
    let base_blob = Digest::of(&base.blob().0);
    let steps = Mutex::new(Vec::new());
    let report = |progress| {
        if let Progress::Layer { layer, step: step @ (LayerStep::Done | LayerStep::Exists) } =
            progress
            && layer == base_blob
        {
            steps.lock().unwrap().push(step);
        }
    };
    let registries = anonymous();
    let platform = Platform::host();
    let names = ["a:1", "b:1", "c:1"].map(|name| bench.name(name));
    let other = Store::open(bench.root.path()).unwrap();
    let (a, b, c) = tokio::join!(
        bench.store.pull(&names[0], &platform, &registries, &report),
        bench.store.pull(&names[1], &platform, &registries, &report),
        // As another process would: it may fetch once more, and neither disturbs the other.
        other.pull(&names[2], &platform, &registries, &|_| ()),
    );
    let layers: BTreeSet<_> = [a, b, c].map(|image| image.unwrap().layers[0].clone()).into();
    assert_eq!(layers.len(), 1);
    let fetched = steps.into_inner().unwrap();
    let fetched = fetched.iter().filter(|step| **step == LayerStep::Done).count();
    assert!(fetched <= 1, "the base was fetched {fetched} times by one store");
    assert_eq!(bench.counts()[2], 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_that_is_dropped_leaves_nothing_half_and_the_next_one_succeeds() {
    let bench = Bench::new();
    // Does not compress, so that it takes many pieces.
    let noise: Vec<u8> =
        (0_u32..8 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    bench.registry.push("big:1", &TestImage::new().layer(TestLayer::new().file("noise", noise)));
    let (started, mut waits) = tokio::sync::mpsc::unbounded_channel();
    let report = move |progress| {
        if let Progress::Layer { step: LayerStep::Downloading { .. }, .. } = progress {
            let _ = started.send(());
        }
    };
    let (name, registries, platform) = (bench.name("big:1"), anonymous(), Platform::host());
    tokio::select! {
        outcome = bench.store.pull(&name, &platform, &registries, &report) => panic!("{outcome:?}"),
        _ = waits.recv() => {}
    }
    assert_eq!(bench.store.resolve_local(&name).unwrap(), None);
    until_holds("nothing is staged", || async { bench.counts()[3] == 0 }).await;
    let [names, _, layers, staged] = bench.counts();
    assert_eq!([names, layers, staged], [0, 0, 0]);
    assert_eq!(bench.pull("big:1").await.unwrap().size, 8 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn removal_keeps_what_others_use() {
    let bench = Bench::new();
    let base = TestLayer::new().file("base", "base").gzip();
    let image = |n: &str| TestImage::new().layer(base.clone()).layer(TestLayer::new().file(n, n));
    for n in ["a", "b"] {
        bench.registry.push(&format!("{n}:1"), &image(n));
    }
    let a = bench.pull("a:1").await.unwrap();
    let b = bench.pull("b:1").await.unwrap();
    let second = bench.name("a:2");
    bench.store.tag(&bench.name("a:1"), &second).unwrap();

    let none = BTreeSet::new();
    let removed = bench.store.remove(&bench.name("a:1"), &none).unwrap();
    assert!(removed.deleted.is_empty(), "another name has all of it");
    let removed = bench.store.remove(&second, &BTreeSet::from([a.manifest])).unwrap();
    assert!(removed.deleted.is_empty(), "it was said to be in use");
    assert_eq!(removed.untagged, Some(second.clone()));
    let pinned = bench.name("a").pinned(a.digest);
    assert_eq!(bench.store.resolve_local(&pinned).unwrap().as_ref(), Some(&a));

    let sweep = |before| bench.store.sweep(&BTreeSet::new(), &none, before).unwrap().removed;
    let (now, hour) = (std::time::SystemTime::now(), std::time::Duration::from_secs(3600));
    assert!(sweep(now - hour).deleted.is_empty(), "what came lately may be of a pull");
    let would = bench.store.sweepable(&BTreeSet::new(), &none, now + hour).unwrap().1;
    let swept = sweep(now + hour);
    assert_eq!(swept.freed, would);
    assert!(a.layers[0].exists() && !a.layers[1].exists(), "only the base is b's, too");
    assert!(swept.freed > 0 && swept.deleted.contains(&a.manifest));
    assert_eq!(bench.store.resolve_local(&bench.name("b:1")).unwrap(), Some(b));
    let error = bench.store.remove(&second, &none).unwrap_err();
    assert!(error.is_missing(), "{error}");

    let names = BTreeSet::from([bench.name("b:1"), bench.name("never:1")]);
    let would = bench.store.sweepable(&names, &none, now - hour).unwrap();
    assert_eq!(would, (vec![bench.name("b:1")], bench.store.size().unwrap()), "all of it");
    let swept = bench.store.sweep(&names, &none, now - hour).unwrap();
    assert_eq!(swept.untagged, [bench.name("b:1")]);
    assert_eq!(bench.counts(), [0, 0, 0, 1], "moved away at once");
    drop(swept);
    assert_eq!(bench.counts(), [0, 0, 0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_tag_is_followed_and_a_spoilt_layer_fetched_again() {
    let bench = Bench::new();
    bench.registry.push("web:1", &web());
    let old = bench.pull("web:1").await.unwrap();
    bench.registry.push("web:1", &web().with("User", "7"));
    assert_eq!(bench.store.resolve_local(&bench.name("web:1")).unwrap(), Some(old.clone()));
    let new = bench.pull("web:1").await.unwrap();
    assert_eq!((new.config.user.as_str(), &new.layers), ("7", &old.layers));
    // What ran by its digest still can.
    let pinned = bench.name("web").pinned(old.digest);
    assert_eq!(bench.store.resolve_local(&pinned).unwrap(), Some(old));

    std::fs::remove_dir_all(new.layers[0].parent().unwrap()).unwrap();
    assert_eq!(bench.store.resolve_local(&bench.name("web:1")).unwrap(), None);
    for blob in std::fs::read_dir(bench.images().join("blobs/sha256")).unwrap() {
        std::fs::write(blob.unwrap().path(), "spoilt").unwrap();
    }
    assert_eq!(bench.pull("web:1").await.unwrap(), new);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_built_in_image_depends_on_the_executable_alone() {
    let [one, two] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let program = one.path().join("program");
    std::fs::write(&program, "first").unwrap();
    let copy = two.path().join("copy");
    std::fs::write(&copy, "first").unwrap();
    let name: Reference = "keel.local/hello".parse().unwrap();

    let store = Store::open_with_built_in(one.path(), &program).unwrap();
    let first = store.resolve_local(&name).unwrap().unwrap();
    assert_eq!(first.config.entrypoint, ["/keel", "hello"]);
    assert!(first.config.exposed_ports.contains("80/tcp"));
    let keel = first.layers[0].join("keel");
    assert_eq!(std::fs::read_to_string(&keel).unwrap(), "first");
    assert_eq!(keel.metadata().unwrap().mode() & 0o7777, 0o755);
    assert_ne!(keel.metadata().unwrap().ino(), program.metadata().unwrap().ino());
    assert_eq!(pull(&store, &name, &anonymous()).await.unwrap(), first);

    let other = Store::open_with_built_in(two.path(), &copy).unwrap();
    assert_eq!(other.resolve_local(&name).unwrap().unwrap().digest, first.digest);

    std::fs::write(&program, "second").unwrap();
    let second = store.resolve_local(&name).unwrap().unwrap();
    assert_ne!(second.digest, first.digest);
    assert_eq!(store.list().unwrap()[0].digest, second.digest);

    let unknown: Reference = "keel.local/other".parse().unwrap();
    let error = pull(&store, &unknown, &anonymous()).await.unwrap_err();
    assert_eq!(error.to_string(), "`keel.local/other:latest` names no built-in image");
}
