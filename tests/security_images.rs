//! Images and registries as attackers: what they say, send and lead to is a stranger's word.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::Value;
use std::fs;
use std::path::Path;
use support::Host;
use support::hostile::Hostile;

const OWN: &str = "127.0.0.1:5000";
const ELSEWHERE: &str = "127.0.0.1:5001";

/// A host where somebody is logged in (me:s3cret) at these registries.
fn logged_in(registries: &[&str]) -> Host {
    let mut host = Host::bare();
    let login = |name: &&str| format!(r#""{name}": {{ "auth": "bWU6czNjcmV0" }}"#);
    let logins: Vec<_> = registries.iter().map(login).collect();
    host.write("docker/config.json", &format!(r#"{{ "auths": {{ {} }} }}"#, logins.join(", ")));
    host.environment.push(("DOCKER_CONFIG".into(), host.path("docker").display().to_string()));
    host
}

fn logins(requests: &[Value]) -> Vec<&str> {
    requests.iter().filter_map(|request| request["login"].as_str()).collect()
}

#[test]
fn a_login_stays_with_its_registry() {
    let host = logged_in(&[OWN]);
    let plan = r#"
ELSE = "http://127.0.0.1:5001"
image("good", layer(("x", b"x")))
def asks(name, how):
    answer(f"/v2/{name}/manifests/latest", 401, WWW_Authenticate=how)
def sends(name, to, kind="manifests/latest"):
    answer(f"{OWN}/v2/{name}/{kind}", 307, Location=to)
OWN = "127.0.0.1:5000"
for name, realm in {
    "port": ELSE + "/token", "name": "http://localhost:5000/token", "six": "http://[::1]:5001/token",
    "number": "http://2130706433:5001/token", "file": "file:///etc/passwd",
    "metadata": "http://169.254.169.254/token", "user": "http://me@127.0.0.1:5000/token",
}.items():
    asks("realm-" + name, f'Bearer realm="{realm}",service="x"')
# What is redirected to asks who is there, in both ways.
for name, how in {"basic": 'Basic realm="x"', "bearer": f'Bearer realm="{ELSE}/token"'}.items():
    sends("away-" + name, f"{ELSE}/v2/away-{name}/asks")
    answer(f"127.0.0.1:5001/v2/away-{name}/asks", 401, WWW_Authenticate=how)
# The registry knows who is there, and then sends them away.
def known(handler):
    if not handler.headers.get("Authorization"):
        return 401, b"", {"WWW-Authenticate": 'Basic realm="x"'}
    return 307, b"", {"Location": ELSE + "/v2/good/manifests/latest"}
answers[OWN + "/v2/good/manifests/latest"] = known
for n in range(31):
    sends("loop", f"/v2/loop/{n + 1}", str(n) if n else "manifests/latest")
sends("user", "http://me:pw@127.0.0.1:5000/v2/good/manifests/latest")
sends("scheme", "gopher://127.0.0.1:5001/x")
answer("/token", body=b'{"token": "t"}')
"#;
    let registry = Hostile::new(&host, &[OWN, ELSEWHERE, "[::1]:5001"], plan);
    let own = |name: &str| format!("{OWN}/{name}");
    for name in ["port", "name", "six", "number"] {
        let said = registry.refused(&own(&format!("realm-{name}")));
        assert!(said.contains("the login may be sent to the registry's own host only"), "{said}");
        assert!(said.contains("auth-hosts: ["), "{name}: {said}");
    }
    for (name, why) in [
        ("realm-file", "not an http:// or https:// URL"),
        ("realm-metadata", "link-local and metadata"),
        ("realm-user", "a user name or password"),
        ("user", "a user name or password"),
        ("scheme", "not an http:// or https:// URL"),
        ("loop", "too many redirects"),
        ("away-basic", "refuses access"),
        ("away-bearer", "refuses access"),
    ] {
        let said = registry.refused(&own(name));
        assert!(said.contains(why) && !said.contains("pw@"), "{name}: {said}");
    }
    assert_eq!(logins(&registry.requests()), [""; 0], "nobody has seen it so far");
    let loops = registry
        .requests()
        .iter()
        .filter(|r| r["path"].as_str().unwrap().contains("/loop/"))
        .count();
    assert_eq!(loops, 10);

    registry.pulled(&own("good"));
    assert_eq!(logins(&registry.at(OWN)).first(), Some(&"Basic bWU6czNjcmV0"));
    assert!(registry.at(ELSEWHERE).len() >= 3, "it was sent there: {:?}", registry.at(ELSEWHERE));
    assert_eq!(logins(&registry.at(ELSEWHERE)), [""; 0]);

    // Whoever is named may have it.
    host.write(
        "keel.yaml",
        &format!("registries: {{ \"{OWN}\": {{ auth-hosts: [\"{ELSEWHERE}\"] }} }}\n"),
    );
    registry.refused(&own("realm-port"));
    assert_eq!(logins(&registry.at(ELSEWHERE)), ["Basic bWU6czNjcmV0"]);
    drop(registry);
    host.finish();
}

/// Pulls with names of the test's own.
fn pull_with_names(host: &Host, name: &str) -> (i32, String) {
    host.write("hosts", "127.0.0.1 localhost inside.example\n203.0.113.7 outside.example\n10.77.0.1 lan.example\n169.254.169.254 meta.example\n");
    let script = "mount --bind hosts /etc/hosts && exec \"$0\" pull \"$1\"";
    let keel = env!("CARGO_BIN_EXE_keel");
    let pull =
        host.command("unshare").args(["-m", "sh", "-c", script, keel, name]).output().unwrap();
    (pull.status.code().unwrap(), String::from_utf8_lossy(&pull.stderr).into_owned())
}

#[test]
fn a_public_registry_leads_to_no_private_address() {
    let host = logged_in(&["203.0.113.7:5000"]);
    let public = ["203.0.113.7:5000", "outside.example:5000"];
    let insecure = public.iter().chain(&["10.77.0.1:5000", "lan.example:5000", "meta.example:80"]);
    let insecure = insecure.map(|name| format!("  \"{name}\": {{ insecure: true }}\n"));
    let insecure = insecure.collect::<String>();
    host.write("keel.yaml", &format!("registries:\n{insecure}"));
    host.sh("for a in 203.0.113.7 203.0.113.8 10.77.0.1; do ip addr add $a/32 dev lo; done");
    let plan = r#"
INSIDE = {"loopback": "127.0.0.1", "number": "2130706433", "short": "127.1", "six": "[::1]",
    "mapped": "[::ffff:127.0.0.1]", "zero": "0.0.0.0", "lan": "10.77.0.1", "name": "inside.example",
    "lan-name": "lan.example"}
for name, host in {**INSIDE, "outside": "203.0.113.8"}.items():
    image(f"blob-{name}", layer(("x", name.encode())))
    for path in [path for path in answers if path.startswith(f"/v2/blob-{name}/blobs/")]:
        answers["/there" + path] = answers[path]
        answer(path, 307, Location=f"http://{host}:5001/there" + path)
    answer(f"/v2/realm-{name}/manifests/latest", 401, WWW_Authenticate=f'Bearer realm="http://{host}:5001/token"')
"#;
    let listeners = [
        "203.0.113.7:5000",
        "10.77.0.1:5000",
        "203.0.113.8:5001",
        "127.0.0.1:5001",
        "10.77.0.1:5001",
        "[::1]:5001",
    ];
    let registry = Hostile::new(&host, &listeners, plan);
    let inside = ["127.0.0.1:5001", "10.77.0.1:5001", "::1:5001"];
    let names = ["loopback", "number", "short", "six", "mapped", "zero", "lan", "name", "lan-name"];
    for from in public {
        for name in names {
            let (code, said) = pull_with_names(&host, &format!("{from}/blob-{name}"));
            assert_eq!(code, 1, "{name}: {said}");
            assert!(
                said.contains("a public registry may not lead to a private address"),
                "{name}: {said}"
            );
        }
    }
    for name in names {
        // Nobody is logged in at this name, so that the token is asked for without a login.
        let (code, said) = pull_with_names(&host, &format!("outside.example:5000/realm-{name}"));
        assert_eq!(code, 1, "{name}: {said}");
        assert!(
            said.contains("a public registry may not lead to a private address"),
            "{name}: {said}"
        );
    }
    for listener in inside {
        assert_eq!(registry.at(listener), Vec::<Value>::new(), "nothing came in");
    }
    // From public to public, and from private to private, it goes on.
    for name in [
        "203.0.113.7:5000/blob-outside",
        "10.77.0.1:5000/blob-loopback",
        "lan.example:5000/blob-lan-name",
    ] {
        let (code, said) = pull_with_names(&host, name);
        assert_eq!(code, 0, "{name}: {said}");
    }
    assert!(
        !registry.at("203.0.113.8:5001").is_empty() && !registry.at("10.77.0.1:5001").is_empty()
    );
    let (code, said) = pull_with_names(&host, "meta.example:80/x");
    assert!(code == 1 && said.contains("link-local and metadata"), "{said}");
    for name in ["169.254.169.254/x", "2852039166:80/x", "[fe80::1]:5000/x", "[fd00:ec2::254]:80/x"]
    {
        let said = registry.refused(name);
        assert!(said.contains("link-local and metadata"), "{name}: {said}");
    }
    drop(registry);
    host.finish();
}

#[test]
fn a_digest_means_one_image_or_none() {
    let host = Host::bare();
    let plan = r#"
plain = layer(("x", b"x"))
good = image("good", plain)
def also(name, kind=MANIFEST, **more):
    document(name, {**image(name, plain), **more}, kind)
listed = document("good", good)
also("both", manifests=[listed])
also("schema", schemaVersion=1)
also("old", fsLayers=[{"blobSum": digest(b"")}])
also("sent", kind=INDEX)
also("called", mediaType=INDEX)
document("index", {"schemaVersion": 2, "mediaType": MANIFEST, "manifests": [listed]})
text = dump(image("twice", plain))
document("twice", text[:-1] + b', "layers": []}')
document("case", text[:-1] + b', "Layers": []}')
document("upper", text.replace(b"sha256:", b"SHA256:"))
document("escape", text.replace(digest(plain).encode(), b"sha256:../../../../etc/passwd").replace(good["config"]["digest"].encode(), b"sha256:../../x"))
document("short", text.replace(good["config"]["digest"].encode(), b"sha256:12"))
platform = {"os": "linux", "architecture": ARCH}
inner = document("loop", {"schemaVersion": 2, "mediaType": INDEX, "manifests": [{**listed, "platform": platform}]}, INDEX, tag="inner")
document("loop", {"schemaVersion": 2, "mediaType": INDEX, "manifests": [{**inner, "platform": platform}]}, INDEX)
document("sizes", good, tag="inner")
document("sizes", {"schemaVersion": 2, "mediaType": INDEX, "manifests": [{**listed, "size": 7, "platform": platform}]}, INDEX)
image("more", plain, file={"rootfs": {"type": "layers", "diff_ids": [digest(plain)] * 2}})
image("fewer", plain, file={"rootfs": {"type": "layers", "diff_ids": []}})
image("other", plain, file={"rootfs": {"type": "layers", "diff_ids": [digest(b"")]}})
image("kind", plain, file={"rootfs": {"type": "strange", "diff_ids": [digest(plain)]}})
for name, changes in {"large": {"size": 10 ** 15}, "small": {"size": 1}}.items():
    manifest = image(name, plain)
    manifest["layers"][0].update(changes)
    document(name, manifest)
manifest = image("same", plain)
manifest["layers"] = [manifest["config"]]
document("same", manifest)
manifest = image("bytes", plain)
answer("/v2/bytes/blobs/" + manifest["layers"][0]["digest"], body=gzip.compress(layer(("x", b"y"))))
manifest = image("config-bytes", plain, User="root")
answer("/v2/config-bytes/blobs/" + manifest["config"]["digest"], body=b"{}")
image("key", plain, raw=dump({"os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [digest(plain)]}})[:-1] + b', "config": {"User": "0"}}')
manifest = image("foreign", plain)
manifest["layers"][0]["urls"] = ["http://127.0.0.1:5001/layer"]
manifest["layers"][0]["mediaType"] = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
document("foreign", manifest)
answers.pop("/v2/foreign/blobs/" + manifest["layers"][0]["digest"])
"#;
    let registry = Hostile::new(&host, &[OWN, ELSEWHERE], plan);
    let cases = [
        ("both", "an index and a manifest at the same time"),
        ("schema", "the old schema 1"),
        ("old", "the old schema 1"),
        ("sent", "its own media type and the one that it is sent as differ"),
        ("called", "its own media type and the one that it is sent as differ"),
        ("index", "called a manifest, but is an index"),
        ("twice", "the key `layers` twice"),
        ("case", "the key `Layers` twice"),
        ("upper", "not a digest"),
        ("escape", "not a digest"),
        ("short", "not a digest"),
        ("loop", "lists another index"),
        ("sizes", "bytes instead of 7"),
        ("more", "it lists 2 layers, its manifest 1"),
        ("fewer", "it lists 0 layers, its manifest 1"),
        ("other", "instead of sha256:e3b0c442"),
        ("kind", "layers"),
        ("large", "bytes instead of 1000000000000000"),
        ("small", "bytes instead of 1"),
        ("same", ""),
        ("bytes", "has digest sha256:"),
        ("config-bytes", "has digest sha256:"),
        ("key", "the key `config` twice"),
        ("foreign", "not in registry"),
    ];
    for (name, why) in cases {
        let said = registry.refused(&format!("{OWN}/{name}"));
        assert!(said.contains(why), "{name}: {said}");
    }
    assert_eq!(registry.at(ELSEWHERE), Vec::<Value>::new(), "`urls` are nobody's business");
    assert_eq!(host.keel(&["images", "-q"]).ok().stdout, "");
    // All that is kept is kept under its own digest.
    let images = host.root().join("images");
    let blobs = images.join("blobs/sha256").display().to_string();
    host.sh(&format!("cd {blobs} && for blob in *; do [ ! -f $blob ] || [ $blob = $(sha256sum $blob | cut -c1-64) ] || exit 1; done"));
    assert_eq!(fs::read_dir(images.join("layers")).unwrap().count(), 0);
    registry.pulled(&format!("{OWN}/good"));
    drop(registry);
    host.finish();
}

#[test]
fn a_layer_writes_into_its_own_folder_only() {
    let host = Host::bare();
    let canary = host.path("canary");
    fs::create_dir(&canary).unwrap();
    fs::write(canary.join("file"), "untouched").unwrap();
    let witness = || {
        host.sh("find canary -printf '%p %m %U %n %T@\\n' | sort; cat canary/file; ls -a . /tmp/owned* /owned* 2>/dev/null | grep -c owned || true")
    };
    let before = witness();
    let plan = format!(
        r#"
OUT = "{}"
UP = "../" * 40
def evil(name, *members):
    image(name, layer(*members))
evil("up", (UP + "tmp/owned", b"x"))
evil("inner-up", ("a/b/../../../owned", b"x"))
evil("link", ("way", LINK, OUT), ("way/owned", b"x"))
evil("link-up", ("way", LINK, UP + OUT), ("way/owned", b"x"))
evil("link-link", ("a", LINK, "b"), ("b", LINK, OUT), ("a/owned", b"x"))
evil("link-folder", ("way", LINK, OUT), ("way/deep/er", DIR, ""))
evil("whiteout", ("way", LINK, OUT), ("way/.wh.file", b""))
evil("opaque", ("way", LINK, OUT), ("way/.wh..wh..opq", b""))
evil("whiteout-up", (".wh...", b""))
evil("hard", ("stolen", HARD, UP + OUT + "/file"), ("stolen", b"x"))
evil("hard-link", ("way", LINK, OUT), ("stolen", HARD, "way/file"))
evil("device", ("way", LINK, OUT), ("way/owned", DEVICE, ""))
# These are images, odd ones; nothing follows their links.
evil("replaced", ("way", LINK, OUT), ("way", DIR, ""), ("way/owned", b"x"))
evil("absolute", ("/owned", b"x"), ("/tmp/owned", b"x"))
evil("hard-to-link", ("way", LINK, OUT + "/file"), ("stolen", HARD, "way"), ("stolen", b"x"))
"#,
        canary.display()
    );
    let registry = Hostile::new(&host, &[OWN], &plan);
    for name in [
        "up",
        "inner-up",
        "link",
        "link-up",
        "link-link",
        "link-folder",
        "whiteout",
        "opaque",
        "whiteout-up",
        "hard",
        "hard-link",
        "device",
    ] {
        let said = registry.refused(&format!("{OWN}/{name}"));
        assert!(said.contains("entry `") && said.contains("out of the layer"), "{name}: {said}");
        assert_eq!(witness(), before, "{name}");
    }
    for name in ["replaced", "absolute", "hard-to-link"] {
        registry.pulled(&format!("{OWN}/{name}"));
        assert_eq!(witness(), before, "{name}");
    }
    drop(registry);
    host.finish();
}

/// Pulls, and the most memory that took in MiB, the lowest free space of the root's disk in KiB.
fn measured(host: &Host, name: &str) -> (String, u64, u64) {
    let script = r#"
import os, resource, subprocess, sys, threading
pull = subprocess.Popen(sys.argv[1:3] + sys.argv[4:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
least, done = [1 << 60], threading.Event()
def look():
    while not done.wait(0.002):
        disk = os.statvfs(sys.argv[3])
        least[0] = min(least[0], disk.f_bfree * disk.f_frsize >> 10)
watch = threading.Thread(target=look)
watch.start()
said = pull.communicate()[1].decode()
done.set()
watch.join()
most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
print(most, least[0], pull.returncode, said, sep="\n")
"#;
    host.write("measure.py", script);
    let root = host.root().display().to_string();
    let keel = env!("CARGO_BIN_EXE_keel");
    let output =
        host.command("python3").args(["measure.py", keel, "pull", &root, name]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{errors}");
    let mut lines = text.lines();
    let mut number = || {
        lines.next().and_then(|line| line.parse().ok()).unwrap_or_else(|| panic!("{name}: {text}"))
    };
    let (memory, free, code) = (number(), number(), number());
    assert_eq!(code, 1, "{name}: {text}");
    (text, memory, free)
}

#[test]
fn bombs_go_off_within_bounds() {
    let host = Host::bare();
    host.sh("mkdir root && mount -t tmpfs -o size=64m,nr_inodes=20000 keel-test root");
    let plan = r#"
import struct, zlib
def endless(piece):
    while True:
        yield piece
plain = layer(("x", b"x"))
answer("/v2/manifest/manifests/latest", body=endless(b" " * 65536), Content_Type=MANIFEST)
manifest = image("config", plain)
answer("/v2/config/blobs/" + manifest["config"]["digest"], body=endless(b"x" * 65536))
manifest = image("layer", plain)
answer("/v2/layer/blobs/" + manifest["layers"][0]["digest"], body=endless(b"x" * 65536))
answer("/v2/token/manifests/latest", 401, WWW_Authenticate='Bearer realm="http://127.0.0.1:5000/endless"')
answer("/endless", body=endless(b" " * 65536))
def zeros(size):
    member = tarfile.TarInfo("zeros")
    member.size = size
    return member.tobuf(tarfile.GNU_FORMAT)
def bomb(name, head, more):
    # Not a whole archive, but it takes all of it to know.
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
    blob = squeeze.compress(head)
    for _ in range(more):
        blob += squeeze.compress(bytes(1 << 20))
    image(name, head, blobs=[blob + squeeze.flush()])
bomb("large", zeros(1 << 40), 1)
bomb("disk", zeros(200 << 20), 200)
long = tarfile.TarInfo("././@LongLink")
long.type, long.size = tarfile.GNUTYPE_LONGNAME, 1 << 30
bomb("name", long.tobuf(tarfile.GNU_FORMAT), 50)
pax = tarfile.TarInfo("x")
pax.type, pax.size = tarfile.XHDTYPE, 1 << 30
bomb("records", pax.tobuf(tarfile.GNU_FORMAT), 50)
window = bytes([0x28, 0xb5, 0x2f, 0xfd, 0, (31 - 10) << 3, 1, 0, 0])
image("window", b"", blobs=[window])
image("deep", layer(("d/" * 2000, DIR, "")))
image("layers", *[layer((str(n), b"")) for n in range(501)])
image("entries", layer(*[(f"{n}/", DIR, "") for n in range(40000)]))
"#;
    let registry = Hostile::new(&host, &[OWN], plan);
    let cases = [
        ("manifest", "larger than 4194304 bytes"),
        ("config", "larger than 4194304 bytes"),
        ("token", "larger than 1048576 bytes"),
        ("layer", "bytes instead of"),
        ("large", "unpacks to more than 4294967296 bytes"),
        ("disk", "left on the disk"),
        ("name", "longer than 1 MiB"),
        ("records", "longer than 1 MiB"),
        ("window", "stream is broken"),
        ("deep", "cannot"),
        ("layers", "at most 500 can be mounted"),
        ("entries", "left on the disk"),
    ];
    for (name, why) in cases {
        let (said, memory, free) = measured(&host, &format!("{OWN}/{name}"));
        assert!(said.contains(why), "{name}: {said}");
        assert!(memory < 200, "{name} took {memory} MiB");
        assert!(free >= 512, "{name} left {free} KiB on the disk");
        let left = host.sh("find root/images/layers root/images/temp -mindepth 2 | wc -l");
        assert_eq!(left.trim(), "0", "{name} left something");
    }
    drop(registry);
    host.sh("umount root");
    host.finish();
}

#[test]
fn a_configuration_is_refused_by_its_field_or_runs_as_dockers() {
    let host = Host::bare();
    let busybox = ["/usr/bin/busybox", "/bin/busybox"].into_iter().find(|p| Path::new(p).exists());
    let busybox = busybox.expect("busybox-static is installed");
    let plan = format!(
        r#"
box = layer(("bin/", DIR, ""), ("bin/busybox", open("{busybox}", "rb").read()), ("bin/sh", LINK, "busybox"), ("bin/echo", LINK, "busybox"), ("bin/env", LINK, "busybox"))
"#
    ) + r#"
def bad(name, **config):
    image("bad-" + name, box, **config)
bad("env", Env=["=x"])
bad("env-nul", Env=["A=b\0c"])
bad("env-many", Env=[f"A{n}=" for n in range(100000)])
bad("user", User="root\n0")
bad("dir", WorkingDir="/a/../../../etc")
bad("dir-nul", WorkingDir="/a\0")
for name, path in {"root": "/", "proc": "/proc", "dev": "/dev", "up": "/x/../../y", "relative": "x"}.items():
    bad("volume-" + name, Volumes={path: {}})
bad("volumes", Volumes={f"/v/{n}": {} for n in range(10000)})
bad("health", Healthcheck={"Test": ["CMD", "true"], "Interval": 1})
bad("health-minus", Healthcheck={"Test": ["CMD", "true"], "Interval": -1})
bad("entrypoint", Entrypoint=["/bin/sh\0-x"])
bad("type", Entrypoint="/bin/sh")
for name, platform in {"arch": {"architecture": "s390x"}, "os": {"os": "windows"}}.items():
    image("bad-" + name, box, file=platform)
def odd(name, **config):
    image("odd-" + name, box, **{"Cmd": ["echo", "hello"], **config})
odd("many", Labels={f"l{n}": "x" for n in range(30000)}, file={"history": [{"created_by": "x"}] * 50000})
odd("all", Env=["NOVALUE", "HOME=/proc/1/root", "PATH=/bin", "LINES=a\nb"], WorkingDir="srv//app/",
    ExposedPorts={"8000-9000/tcp": {}, "x": {}, "99999/tcp": {}}, ArgsEscaped=True, OnBuild=["RUN evil"],
    Volumes={"/a": {}, "/a/b/": {}, "/a/b/c": {}}, Shell=[])
image("odd-entry", box, Entrypoint=[], Cmd=[])
image("odd-empty", box, Entrypoint=[""], Cmd=[])
for signal in ["65", "NOPE", "RTMIN+99"]:
    image("signal-" + signal.lower().replace("+", "."), box, Cmd=["echo", "hello"], StopSignal=signal)
"#;
    let registry = Hostile::new(&host, &[OWN], &plan);
    let refused = [
        ("env", "Env has the entry"),
        ("env-nul", "Env has a NUL character"),
        ("env-many", "Env has more than 4096 entries"),
        ("user", "User has a control character"),
        ("dir", "WorkingDir has the path"),
        ("dir-nul", "WorkingDir has a control character"),
        ("volume-root", "which is not a folder below `/`"),
        ("volume-proc", "which is the kernel's"),
        ("volume-dev", "which is the kernel's"),
        ("volume-up", "which holds `..`"),
        ("volume-relative", "which is not a folder below `/`"),
        ("volumes", "Volumes has more than 256 paths"),
        ("health", "Healthcheck.Interval is 1ns"),
        ("health-minus", "the configuration of"),
        ("entrypoint", "Entrypoint has a NUL character"),
        ("type", "the configuration of"),
        ("arch", "is for linux/s390x; this host is linux/"),
        ("os", "is for windows/"),
    ];
    for (name, why) in refused {
        let said = registry.refused(&format!("{OWN}/bad-{name}"));
        assert!(said.contains(why), "{name}: {said}");
    }
    for name in ["many", "all"] {
        let run = host.keel(&["run", "--rm", &format!("{OWN}/odd-{name}")]);
        assert_eq!((run.code, run.stdout.as_str()), (0, "hello\n"), "{name}: {run:?}");
    }
    for name in ["entry", "empty"] {
        let run = host.keel(&["run", "--rm", &format!("{OWN}/odd-{name}")]);
        assert!(run.code != 0 && run.stderr.contains("no command"), "{name}: {run:?}");
    }
    for signal in ["65", "nope", "rtmin.99"] {
        let name = format!("{OWN}/signal-{signal}");
        let run = host.keel(&["run", "--rm", &name]);
        assert!(run.code != 0 && run.stderr.contains("is not a signal"), "{signal}: {run:?}");
    }
    drop(registry);
    host.sh(&format!("{} system prune --all --volumes -f", env!("CARGO_BIN_EXE_keel")));
    host.finish();
}
