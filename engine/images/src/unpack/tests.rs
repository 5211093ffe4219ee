use std::os::unix::fs::{FileTypeExt, MetadataExt};

use tar::EntryType;
use tempfile::TempDir;

use super::*;
use crate::testing::TestLayer;

const LIMITS: Limits = Limits { entries: 100, bytes: 10_000, stream: u64::MAX };

/// A folder to unpack into, and beside it what nothing may touch.
pub(super) struct Place {
    folder: TempDir,
}

impl Place {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("root")).unwrap();
        std::fs::create_dir_all(folder.path().join("outside")).unwrap();
        std::fs::write(folder.path().join("outside/secret"), "untouched").unwrap();
        Self { folder }
    }

    pub(super) fn unpack(&self, layer: &TestLayer) -> Result<Unpacked, UnpackError> {
        self.unpack_within(layer, LIMITS)
    }

    pub(super) fn unpack_within(
        &self,
        layer: &TestLayer,
        limits: Limits,
    ) -> Result<Unpacked, UnpackError> {
        let root = File::open(self.folder.path().join("root")).unwrap();
        unpack(&*layer.archive(), &root, limits)
    }

    pub(super) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join("root").join(name)
    }

    pub(super) fn outside(&self) -> String {
        self.folder.path().join("outside").display().to_string()
    }

    pub(super) fn is_untouched(&self) -> bool {
        let names: Vec<_> = std::fs::read_dir(self.outside()).unwrap().collect();
        let secret = self.folder.path().join("outside/secret");
        let is = secret.metadata().unwrap();
        let beside = std::fs::read_dir(self.folder.path()).unwrap().count();
        (names.len(), is.nlink(), beside) == (1, 1, 2)
            && std::fs::read_to_string(secret).unwrap() == "untouched"
    }
}

#[test]
fn what_leads_out_is_refused_by_name_and_touches_nothing() {
    let elsewhere = Place::new();
    let out = elsewhere.outside();
    let cases = [
        (TestLayer::new().file("../x", "x"), "entry `../x` leads out of the layer"),
        (TestLayer::new().file("a/../../x", "x"), "entry `a/../../x` leads out of the layer"),
        (
            TestLayer::new().symlink("evil", &out).file("evil/x", "x"),
            "entry `evil/x` leads out of the layer",
        ),
        (
            TestLayer::new().symlink("up", "..").file("up/outside/x", "x"),
            "entry `up/outside/x` leads out of the layer",
        ),
        (
            TestLayer::new().symlink("evil", &out).folder("evil/deep/er"),
            "entry `evil/deep/er` leads out of the layer",
        ),
        (
            TestLayer::new().symlink("evil", &out).file("evil/.wh.secret", ""),
            "entry `evil/.wh.secret` leads out of the layer",
        ),
        (
            TestLayer::new().symlink("evil", &out).file("evil/.wh..wh..opq", ""),
            "entry `evil/.wh..wh..opq` leads out of the layer",
        ),
        (
            TestLayer::new().hard_link("hard", "../outside/secret"),
            "entry `hard` is a hard link to `../outside/secret`, out of the layer",
        ),
        (
            TestLayer::new().symlink("e", "../outside").hard_link("hard", "e/secret"),
            "entry `hard` is a hard link to `e/secret`, out of the layer",
        ),
        (TestLayer::new().file(".wh...", ""), "entry `.wh...` leads out of the layer"),
        (TestLayer::new().symlink(".", &out), "entry `.` leads out of the layer"),
        (
            TestLayer::new().hard_link("hard", "etc/passwd"),
            "entry `hard` is a hard link to `etc/passwd`, which is not in the layer",
        ),
    ];
    for (layer, expected) in cases {
        let place = Place::new();
        let error = place.unpack(&layer).expect_err(expected);
        assert_eq!(error.to_string(), expected);
        assert!(place.is_untouched() && elsewhere.is_untouched(), "{expected}");
    }
}

#[test]
fn links_out_are_kept_as_links_and_never_written_through() {
    let place = Place::new();
    let secret = format!("{}/secret", place.outside());
    let layer = TestLayer::new()
        .symlink("link", &secret)
        .symlink("folder", &place.outside())
        .file("link", "replaces the link")
        .xattr("user.x", b"y")
        .symlink("folder", "/nowhere")
        .hard_link("second", "folder");
    place.unpack(&layer).unwrap();
    assert!(place.is_untouched());
    assert_eq!(std::fs::read_to_string(place.path("link")).unwrap(), "replaces the link");
    assert_eq!(std::fs::read_link(place.path("second")).unwrap().to_str(), Some("/nowhere"));
}

#[test]
fn links_that_stay_inside_are_followed() {
    let place = Place::new();
    let layer = TestLayer::new().folder("usr/lib").symlink("lib", "usr/lib").file("lib/x", "x");
    place.unpack(&layer).unwrap();
    assert!(place.path("usr/lib/x").is_file());
    assert!(place.path("lib").symlink_metadata().unwrap().is_symlink());
}

#[test]
fn owners_modes_times_and_attributes_are_kept() {
    let place = Place::new();
    let capability = b"\x01\0\0\x02\0\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let long = format!("deep/{}/{}", "n".repeat(120), "m".repeat(120));
    let layer = TestLayer::new()
        .entry(EntryType::Directory, "./", "", 0o750, (3, 4), b"")
        .entry(EntryType::Directory, "tmp/", "", 0o1777, (0, 0), b"")
        .file_of("bin/su", "x", 0o4755, (0, 7))
        .xattr("security.capability", capability)
        .xattr("user.comment", b"two\nlines")
        .xattr("trusted.overlay.redirect", b"/etc")
        .file_of("bin/ping", "x", 0o755, (0, 0))
        .record("uid", b"70000")
        .record("mtime", b"1600000000.25")
        .file("bin/other", "x")
        .hard_link("bin/same", "bin/su")
        .entry(EntryType::Fifo, "run/pipe", "", 0o600, (0, 0), b"")
        .entry(EntryType::Char, "dev/null", "", 0o666, (0, 0), b"")
        .file(&long, "long");
    let unpacked = place.unpack(&layer).unwrap();
    assert_eq!(unpacked.bytes, 7);

    let is = |name: &str| place.path(name).symlink_metadata().unwrap();
    assert_eq!((is("").mode() & 0o7777, is("").uid(), is("").gid()), (0o750, 3, 4));
    assert_eq!(is("tmp").mode() & 0o7777, 0o1777);
    assert_eq!((is("bin/su").mode() & 0o7777, is("bin/su").gid()), (0o4755, 7));
    assert_eq!((is("bin/same").ino(), is("bin/su").nlink()), (is("bin/su").ino(), 2));
    assert_eq!(is("bin/other").uid(), 70000);
    assert_eq!(
        (is("bin/other").mtime(), is("bin/other").mtime_nsec()),
        (1_600_000_000, 250_000_000)
    );
    assert_eq!((is("tmp").mtime(), is("").mtime()), (1_700_000_000, 1_700_000_000));
    assert!(is("run/pipe").file_type().is_fifo());
    assert_eq!(is("dev/null").rdev(), rustix::fs::makedev(1, 3));
    assert_eq!(std::fs::read_to_string(place.path(&long)).unwrap(), "long");
    assert_eq!(xattr(&place.path("bin/ping"), "security.capability").unwrap(), capability);
    assert_eq!(xattr(&place.path("bin/ping"), "user.comment").unwrap(), b"two\nlines");
    assert_eq!(xattr(&place.path("bin/ping"), "trusted.overlay.redirect"), None);
}

#[test]
fn whiteouts_become_what_overlayfs_reads() {
    let place = Place::new();
    let layer = TestLayer::new()
        .file("etc/.wh.gone", "")
        .file("opt/.wh..wh..opq", "")
        .file("opt/new", "new")
        .file("srv/own", "own")
        .file(".wh.srv", "")
        .file(".wh.var", "")
        .file("var/again", "again")
        .file(".wh..wh.plnk/x", "");
    place.unpack(&layer).unwrap();
    let gone = place.path("etc/gone").symlink_metadata().unwrap();
    assert!(gone.file_type().is_char_device() && gone.rdev() == 0);
    for folder in ["opt", "srv", "var"] {
        let mark = xattr(&place.path(folder), "trusted.overlay.opaque");
        assert_eq!(mark.as_deref(), Some(&b"y"[..]), "{folder}");
    }
    assert_eq!(xattr(&place.path("etc"), "trusted.overlay.opaque"), None);
    assert!(place.path("var/again").is_file() && place.path("srv/own").is_file());
}

#[test]
fn the_last_entry_of_a_name_counts() {
    let place = Place::new();
    let layer = TestLayer::new()
        .file("a/b/c", "1")
        .file("a", "a file now")
        .folder("x")
        .file("x/kept", "1")
        .folder("x")
        .hard_link("x/kept", "x/kept");
    place.unpack(&layer).unwrap();
    assert!(place.path("a").is_file() && place.path("x/kept").is_file());
}

#[test]
fn limits_hold() {
    let many = (0..200).fold(TestLayer::new(), |layer, n| layer.file(&n.to_string(), ""));
    assert_eq!(Place::new().unpack(&many).unwrap_err().to_string(), "it has more than 100 entries");
    let large = TestLayer::new().file("x", vec![0; 20_000]);
    assert_eq!(
        Place::new().unpack(&large).unwrap_err().to_string(),
        "it unpacks to more than 10000 bytes"
    );
    let name = TestLayer::new().entry(
        EntryType::GNULongName,
        "././@LongLink",
        "",
        0o644,
        (0, 0),
        &vec![b'x'; 2 << 20],
    );
    assert!(matches!(Place::new().unpack(&name), Err(UnpackError::Stream(_))));
}

#[test]
fn a_broken_stream_is_said_to_be_one() {
    let layer = TestLayer::new().file("x", vec![1; 5000]);
    let whole = layer.archive();
    let place = Place::new();
    let root = File::open(place.path("")).unwrap();
    for cut in [100, 600, 5000] {
        let error = unpack(&whole[..cut], &root, LIMITS).unwrap_err();
        assert!(matches!(error, UnpackError::Stream(_)), "{cut}: {error}");
    }
}

pub(super) fn xattr(path: &std::path::Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 100];
    let length = rustix::fs::lgetxattr(path, name, &mut value[..]).ok()?;
    value.truncate(length);
    Some(value)
}
