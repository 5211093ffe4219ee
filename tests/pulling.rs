//! What a registry hands over is believed only as far as its digests go, and unpacked nowhere but
//! into its own folder.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::Host;

#[test]
fn a_layer_that_is_not_what_its_digest_says_is_refused() {
    let host = Host::with_own_registry();
    // One byte in the middle of every large blob.
    host.sh("find storage -name data -size +100k | while read -r blob; do \
           printf X | dd of=$blob bs=1 seek=5000 conv=notrunc status=none; done");
    let pull = host.keel(&["pull", "busybox:1"]);
    assert_eq!(pull.code, 1, "{pull:?}");
    assert!(pull.stderr.contains("sha256:") && pull.stderr.contains("digest"), "{}", pull.stderr);
    assert_eq!(host.keel(&["images", "-q"]).ok().stdout, "", "nothing of it is to be seen");
    host.finish();
}

/// Pushes an image whose only layer a Python program writes with `add(name, type, target)`.
fn push(host: &Host, name: &str, members: &str) {
    host.write(
        "make.py",
        &format!(
            r#"
import gzip, hashlib, io, json, os, tarfile
raw = io.BytesIO()
tar = tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT)
def add(name, kind=tarfile.REGTYPE, target="", data=b"owned\n"):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    member.size = len(data) if kind == tarfile.REGTYPE else 0
    tar.addfile(member, io.BytesIO(data))
LINK, HARD, DIR = tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE
{members}
tar.close()
def blob(data):
    digest = hashlib.sha256(data).hexdigest()
    open("evil/blobs/sha256/" + digest, "wb").write(data)
    return {{"digest": "sha256:" + digest, "size": len(data)}}
os.makedirs("evil/blobs/sha256", exist_ok=True)
layer = blob(gzip.compress(raw.getvalue())) | {{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip"}}
diff = "sha256:" + hashlib.sha256(raw.getvalue()).hexdigest()
config = blob(json.dumps({{"architecture": os.environ["ARCH"], "os": "linux", "config": {{}}, "rootfs": {{"type": "layers", "diff_ids": [diff]}}}}).encode())
config["mediaType"] = "application/vnd.oci.image.config.v1+json"
manifest = blob(json.dumps({{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": [layer]}}).encode())
manifest["mediaType"] = "application/vnd.oci.image.manifest.v1+json"
json.dump({{"schemaVersion": 2, "manifests": [manifest]}}, open("evil/index.json", "w"))
open("evil/oci-layout", "w").write('{{"imageLayoutVersion":"1.0.0"}}')
"#
        ),
    );
    host.sh(&format!(
        "rm -rf evil && ARCH=$(dpkg --print-architecture) python3 make.py && \
         skopeo copy -q --insecure-policy --dest-tls-verify=false oci:evil docker://127.0.0.1:5000/library/{name}"
    ));
}

#[test]
fn a_layer_that_reaches_out_is_refused_by_the_entry() {
    let host = Host::with_own_registry();
    let victim = host.path("victim");
    let up = victim.to_string_lossy().trim_start_matches('/').to_owned();
    let ups = "../".repeat(40);
    let cases = [
        ("dotdot:1", format!("add('{ups}{up}')")),
        ("link:1", format!("add('way', LINK, '{}')\nadd('way/victim')", host.path("").display())),
        ("hard:1", format!("add('stolen', HARD, '{ups}etc/passwd')")),
    ];
    for (name, members) in cases {
        push(&host, name, &members);
        let pull = host.keel(&["pull", name]);
        assert!(!victim.exists(), "{name} got out");
        assert_eq!(pull.code, 1, "{name}: {pull:?}");
        assert!(
            ["victim", "stolen", "way"].iter().any(|entry| pull.stderr.contains(entry)),
            "{}",
            pull.stderr
        );
    }
    assert_eq!(host.keel(&["images", "-q"]).ok().stdout, "");
    host.finish();
}

/// A registry at an address that is no loopback, with this certificate or in plain HTTP.
struct Elsewhere<'a>(&'a Host, std::process::Child);

impl<'a> Elsewhere<'a> {
    fn new(host: &'a Host, certificate: Option<&str>) -> Self {
        let plain = std::fs::read_to_string(host.path("registry.yml")).unwrap();
        let tls = certificate.map(|name| {
            let key = host.path("tls.key").display().to_string();
            format!(", tls: {{ certificate: {}, key: {key} }}", host.path(name).display())
        });
        let with = format!("addr: 10.9.8.7:5443{}", tls.unwrap_or_default());
        let config = host.write("elsewhere.yml", &plain.replace("addr: 0.0.0.0:5000", &with));
        let mut server = host.command("docker-registry");
        server.arg("serve").arg(config).stderr(std::process::Stdio::null());
        let elsewhere = Self(host, server.stdout(std::process::Stdio::null()).spawn().unwrap());
        let scheme = if certificate.is_some() { "https" } else { "http" };
        let ask = format!("curl -kso /dev/null {scheme}://10.9.8.7:5443/v2/");
        let up = || host.command("sh").args(["-c", &ask]).status().ok()?.success().then_some(());
        support::until("the registry answers", up, String::new);
        elsewhere
    }

    fn pull(&self) -> support::Called {
        self.0.keel(&["rmi", "-f", "10.9.8.7:5443/library/busybox:1"]);
        self.0.keel(&["pull", "10.9.8.7:5443/library/busybox:1"])
    }
}

impl Drop for Elsewhere<'_> {
    fn drop(&mut self) {
        self.1.kill().ok();
        self.1.wait().ok();
    }
}

#[track_caller]
fn refused(host: &Host, certificate: Option<&str>, words: &str) {
    let pull = Elsewhere::new(host, certificate).pull();
    assert_eq!(pull.code, 1, "{certificate:?}: {pull:?}");
    assert!(pull.stderr.contains(words), "{certificate:?} is refused for `{words}`: {pull:?}");
}

/// Who sits between keel and a registry has no certificate that the system trusts, one that is too old, or
/// of another host, or hopes that plain HTTP will do.
#[test]
fn a_registry_elsewhere_must_prove_itself() {
    let mut host = Host::new();
    host.sh(
        "ip addr add 10.9.8.7/32 dev lo; \
         openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem \
           -subj /CN=test-ca -days 30 2>/dev/null; \
         openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout tls.key -out tls.csr \
           -subj /CN=registry 2>/dev/null; \
         sign() { printf \"subjectAltName=IP:$2\" >san; openssl x509 -req -in tls.csr -CA ca.pem -CAkey ca.key \
           -CAcreateserial -extfile san $3 $4 $5 $6 -out $1 2>/dev/null; }; \
         sign good.pem 10.9.8.7 -days 10; sign other.pem 10.9.8.8 -days 10; \
         sign old.pem 10.9.8.7 -days -1",
    );
    refused(&host, Some("good.pem"), "update-ca-certificates");
    host.environment.push(("SSL_CERT_FILE".into(), host.path("ca.pem").display().to_string()));
    refused(&host, Some("other.pem"), "valid for name");
    refused(&host, Some("old.pem"), "Expired");
    refused(&host, None, "insecure: true");
    Elsewhere::new(&host, Some("good.pem")).pull().ok();
    let config = std::fs::read_to_string(host.path("keel.yaml")).unwrap();
    host.write("keel.yaml", &format!("{config}  \"10.9.8.7:5443\": {{ insecure: true }}\n"));
    Elsewhere::new(&host, None).pull().ok();
    host.keel(&["rmi", "-f", "10.9.8.7:5443/library/busybox:1"]).ok();
    host.finish();
}
