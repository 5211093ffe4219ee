//! Debian's `docker-registry` on a free loopback port, ended with the value that stands for it.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::blocking::{Client, RequestBuilder};
use tempfile::TempDir;

use super::image::TestImage;
use keel_names::Digest;

/// The user that a registry with a password knows.
pub const USER: &str = "tester";
/// That user's password.
pub const PASSWORD: &str = "secret";
/// The same as bcrypt, the only form that the registry reads.
const HASHED: &str = "tester:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

/// A running registry with its own storage.
#[derive(Debug)]
pub struct TestRegistry {
    process: Child,
    port: u16,
    folder: TempDir,
    password: bool,
}

impl TestRegistry {
    /// One that lets everybody in.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(false)
    }

    /// One that lets in [`USER`] with [`PASSWORD`].
    #[must_use]
    pub fn start_with_password() -> Self {
        Self::start_with(true)
    }

    fn start_with(password: bool) -> Self {
        let folder = tempfile::tempdir().expect("there is a folder for temporary files");
        // Somebody else may take the port between its choice and its use.
        for _ in 0..5 {
            let port = free_port();
            let mut process = spawn(&folder, port, password);
            if listens(&mut process, port) {
                return Self { process, port, folder, password };
            }
        }
        panic!("docker-registry does not start: is the Debian package of that name installed?");
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `127.0.0.1:PORT/NAME`.
    pub fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.address())
    }

    /// Puts an image under `NAME:TAG`; the digest of its manifest.
    pub fn push(&self, name: &str, image: &TestImage) -> Digest {
        let (repository, tag) = name.split_once(':').unwrap_or((name, "latest"));
        let kind = "application/vnd.oci.image.manifest.v1+json";
        self.outside_of_async(|client| {
            image.blobs().iter().for_each(|blob| self.put_blob(client, repository, blob));
            self.put_manifest(client, repository, tag, kind, image.manifest());
        });
        image.digest()
    }

    /// Puts an index of images under `NAME:TAG`; the digest of the index.
    pub fn push_index(&self, name: &str, images: &[TestImage]) -> Digest {
        let (repository, tag) = name.split_once(':').unwrap_or((name, "latest"));
        for image in images {
            self.push(&format!("{repository}:{}", image.digest().short()), image);
        }
        let index = TestImage::index(images);
        let digest = Digest::of(&index);
        let kind = "application/vnd.oci.image.index.v1+json";
        self.outside_of_async(|client| self.put_manifest(client, repository, tag, kind, index));
        digest
    }

    /// The file in which the registry keeps a blob, for tests that spoil it.
    pub fn blob_file(&self, digest: Digest) -> PathBuf {
        let hex = digest.hex();
        let blobs = self.folder.path().join("storage/docker/registry/v2/blobs/sha256");
        blobs.join(&hex[..2]).join(hex).join("data")
    }

    /// The blocking client must not run where futures do; a thread of its own is always right.
    fn outside_of_async(&self, work: impl FnOnce(&Client) + Send) {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| work(&client()));
            thread.join().expect("the registry takes what a test pushes");
        });
    }

    fn put_blob(&self, client: &Client, repository: &str, blob: &[u8]) {
        let url = format!("http://{}/v2/{repository}/blobs/uploads/", self.address());
        let started = self.send(client.post(url));
        let place = started.headers()["location"].to_str().expect("it is an URL").to_owned();
        let separator = if place.contains('?') { '&' } else { '?' };
        let url = format!("{place}{separator}digest={}", Digest::of(blob));
        let put = client.put(url).header("content-type", "application/octet-stream");
        self.send(put.body(blob.to_vec()));
    }

    fn put_manifest(
        &self,
        client: &Client,
        repository: &str,
        tag: &str,
        kind: &str,
        manifest: Vec<u8>,
    ) {
        let url = format!("http://{}/v2/{repository}/manifests/{tag}", self.address());
        self.send(client.put(url).header("content-type", kind).body(manifest));
    }

    fn send(&self, request: RequestBuilder) -> reqwest::blocking::Response {
        let request = match self.password {
            true => request.basic_auth(USER, Some(PASSWORD)),
            false => request,
        };
        let response = request.send().expect("the registry answers");
        let status = response.status();
        assert!(status.is_success(), "{status}: {}", response.text().unwrap_or_default());
        response
    }
}

impl Drop for TestRegistry {
    fn drop(&mut self) {
        // It is ours, by its handle; that it has ended already is just as well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn client() -> Client {
    let tls = crate::registry::trusting_nobody();
    let builder = Client::builder().no_proxy().tls_backend_preconfigured(tls);
    builder.build().expect("a plain client can always be made")
}

fn free_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    socket.local_addr().expect("it was just bound").port()
}

fn spawn(folder: &TempDir, port: u16, password: bool) -> Child {
    let path = folder.path();
    let mut config = format!(
        "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
         storage: {{filesystem: {{rootdirectory: {}/storage}}, delete: {{enabled: true}}}}\n\
         http: {{addr: '127.0.0.1:{port}'}}\n",
        path.display()
    );
    if password {
        let file = path.join("htpasswd");
        std::fs::write(&file, HASHED).expect("the folder is ours");
        config += &format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", file.display());
    }
    let file = path.join("config.yml");
    std::fs::write(&file, config).expect("the folder is ours");
    // So that it ends even when the test is killed.
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "docker-registry", "serve"])
        .arg(file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("setpriv (util-linux) is installed")
}

/// Whether it comes up; not when it ends before, or takes a minute.
fn listens(process: &mut Child, port: u16) -> bool {
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline && matches!(process.try_wait(), Ok(None)) {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = process.kill();
    let _ = process.wait();
    false
}
