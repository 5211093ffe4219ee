//! Layers whose author wants two readers to see two things, or a reader to drown.

use std::os::unix::fs::{FileTypeExt, MetadataExt};

use tar::EntryType;

use super::tests::{Place, xattr};
use super::*;
use crate::testing::TestLayer;

fn octal(size: u64) -> [u8; 12] {
    format!("{size:011o}\0").into_bytes().try_into().unwrap()
}

/// A whole archive of one file, to be hidden in another's content.
fn hidden() -> Vec<u8> {
    TestLayer::new().file("hidden", "").archive()[..512].to_vec()
}

/// The error with its causes.
fn said(error: &UnpackError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[test]
fn what_readers_disagree_on_is_refused() {
    let file = EntryType::Regular;
    let long = EntryType::GNULongName;
    let plain =
        |layer: TestLayer, kind, content: &[u8]| layer.entry(kind, "x", "", 0o644, (0, 0), content);
    let cases = [
        // The field says that the hidden header is the next one, the record that it is content.
        (
            TestLayer::new().record("size", b"512").sized(file, "a", octal(0), &hidden()),
            "two sizes",
        ),
        (
            TestLayer::new().record("size", b"0").sized(file, "a", octal(512), &hidden()),
            "two sizes",
        ),
        (
            TestLayer::new().record("size", b"5").sized(EntryType::Symlink, "a", octal(0), b""),
            "two sizes",
        ),
        (TestLayer::new().sized(file, "a", [0xff; 12], b""), "negative"),
        (
            TestLayer::new().sized(file, "a", [0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], b""),
            "more than 64 bits",
        ),
        (TestLayer::new().sized(file, "folder/", octal(512), &hidden()), "a folder has a size"),
        (
            plain(TestLayer::new(), long, b"b\0").record("path", b"c").file("a", ""),
            "names one entry twice",
        ),
        (
            plain(plain(TestLayer::new(), long, b"b\0"), long, b"c\0").file("a", ""),
            "names one entry twice",
        ),
        (
            TestLayer::new().record("path", b"b").record("path", b"c").file("a", ""),
            "names one entry twice",
        ),
        (TestLayer::new().record("path", b"").folder("a"), "an empty name"),
        (plain(TestLayer::new(), long, b"\0").folder("a"), "an empty name"),
        (
            plain(TestLayer::new(), EntryType::XHeader, b"10 path=b\n")
                .record("uid", b"1")
                .file("a", ""),
            "describes one entry twice",
        ),
        (
            plain(TestLayer::new(), EntryType::XGlobalHeader, b"10 path=b\n").file("a", ""),
            "global records",
        ),
        (
            plain(TestLayer::new(), EntryType::XGlobalHeader, b"10 size=5\n").file("a", ""),
            "global records",
        ),
        (TestLayer::new().record("GNU.sparse.major", b"1").file("a", ""), "sparse"),
        (TestLayer::new().record("GNU.sparse.map", b"0,1").file("a", ""), "sparse"),
        (plain(TestLayer::new(), EntryType::GNUSparse, b""), "of the unknown kind 'S'"),
        (TestLayer::new().record("size", b"-1").file("a", ""), "no number"),
        (TestLayer::new().record("size", b"99999999999999999999").file("a", ""), "no number"),
        (TestLayer::new().record("path", b"a\0b").file("a", ""), "cannot create"),
        (TestLayer::new().record("path", &[b'n'; 5000]).file("a", ""), "cannot create"),
    ];
    for (layer, expected) in cases {
        let place = Place::new();
        let error = place.unpack(&layer).expect_err(expected);
        assert!(said(&error).contains(expected), "{expected}: {}", said(&error));
        assert!(place.is_untouched() && !place.path("hidden").exists(), "{expected}");
    }
}

#[test]
fn what_honest_tools_write_is_taken() {
    let place = Place::new();
    let git = b"52 comment=0123456789012345678901234567890123456789\n";
    let layer = TestLayer::new()
        .entry(EntryType::XGlobalHeader, "pax_global_header", "", 0o666, (0, 0), git)
        .record("size", b"3")
        .record("path", "n".repeat(200).as_bytes())
        .file("short", "abc")
        .sized(EntryType::Directory, "folder", octal(512), b"")
        .sized(EntryType::Regular, "binary", [0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2], b"ab");
    place.unpack(&layer).unwrap();
    assert!(place.path("folder").is_dir());
    assert_eq!(std::fs::read_to_string(place.path("binary")).unwrap(), "ab");
    assert_eq!(std::fs::read_to_string(place.path(&"n".repeat(200))).unwrap(), "abc");
}

#[test]
fn only_attributes_of_an_images_own_are_kept() {
    let acl = [
        2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 4, 0, 4, 0, 255, 255, 255, 255, 32, 0, 4, 0,
        255, 255, 255, 255,
    ];
    let place = Place::new();
    let layer = TestLayer::new()
        .xattr("trusted.overlay.redirect", b"/etc")
        .xattr("trusted.overlay.metacopy", b"")
        .xattr("trusted.overlay.origin", b"x")
        .xattr("trusted.overlay.overlay.opaque", b"y")
        .xattr("trusted.md5sum", b"x")
        .xattr("user.overlay.opaque", b"y")
        .xattr("user.overlay.redirect", b"/etc")
        .xattr("security.selinux", b"system_u:object_r:x_t:s0\0")
        .xattr("security.ima", b"x")
        .xattr("system.nfs4_acl", b"x")
        .xattr("nothing", b"x")
        .xattr("user.mine", b"x")
        .xattr("system.posix_acl_access", &acl)
        .file("file", "");
    place.unpack(&layer).unwrap();
    let mut names = vec![0_u8; 4096];
    let length = rustix::fs::llistxattr(place.path("file"), &mut names[..]).unwrap();
    let names = String::from_utf8_lossy(&names[..length]).into_owned();
    let mut names: Vec<_> = names.split_terminator('\0').collect();
    names.sort_unstable();
    // Not every file system of a test machine has access lists.
    names.retain(|name| *name != "system.posix_acl_access");
    assert_eq!(names, ["user.mine"]);
    assert_eq!(xattr(&place.path("file"), "user.mine").unwrap(), b"x");
}

#[test]
fn a_device_that_is_a_whiteout_hides_and_does_nothing_else() {
    let place = Place::new();
    let layer = TestLayer::new()
        .file("etc/.wh.gone", "")
        .hard_link("etc/second", "etc/gone")
        .file("etc/gone", "back");
    place.unpack(&layer).unwrap();
    let second = place.path("etc/second").symlink_metadata().unwrap();
    assert!(second.file_type().is_char_device() && second.rdev() == 0);
    assert_eq!(std::fs::read_to_string(place.path("etc/gone")).unwrap(), "back");
}

#[test]
fn odd_names_stay_where_they_are() {
    let out = Place::new();
    for name in [".wh...", ".wh..", ".wh.", "a/.wh..", "a/.wh...", "..", "/..", "a/../..", "./../x"]
    {
        let place = Place::new();
        let error = place.unpack(&TestLayer::new().file(name, "")).unwrap_err();
        assert!(matches!(error, UnpackError::Escapes { .. }), "{name}: {error}");
        assert!(place.is_untouched(), "{name}");
    }
    let secret = format!("{}/secret", out.outside());
    let place = Place::new();
    let layer = TestLayer::new()
        .file("/etc/absolute", "in the layer")
        .symlink("link", &secret)
        .entry(EntryType::Directory, "link", "", 0o777, (1, 1), b"")
        .symlink("other", &out.outside())
        .entry(EntryType::Fifo, "other", "", 0o777, (1, 1), b"")
        .file("other", "a file again")
        .entry(EntryType::Char, "device", "", 0o666, (0, 0), b"")
        .file("device", "and no device")
        .file("self", "x")
        .hard_link("self", "./self")
        .hard_link("second", "link");
    // A folder cannot be linked hard: the last entry is refused, and none before it.
    assert!(place.unpack(&layer).is_err());
    assert!(place.is_untouched() && out.is_untouched());
    assert_eq!(std::fs::read_to_string(place.path("etc/absolute")).unwrap(), "in the layer");
    assert!(place.path("link").is_dir() && place.path("device").is_file());
    assert_eq!(std::fs::read_to_string(place.path("other")).unwrap(), "a file again");
    let owner = std::fs::metadata(&secret).unwrap();
    assert_eq!((owner.uid(), owner.mode() & 0o111), (0, 0), "neither owner nor mode changed");
}

#[test]
fn trees_are_not_deeper_than_can_be_removed() {
    let limits = Limits { entries: 100_000, bytes: 1 << 20, stream: u64::MAX };
    let deep = "d/".repeat(300);
    // Ten folders, then a link to the lowest, again and again: no path is long.
    let chain = (0..100).fold(TestLayer::new(), |layer, n| {
        let from = if n == 0 { String::new() } else { format!("l{}/", n - 1) };
        let folder = format!("{from}{}", "d/".repeat(10));
        layer.folder(&folder).symlink(&format!("l{n}"), &folder)
    });
    for layer in
        [TestLayer::new().folder(&deep), TestLayer::new().file(&format!("{deep}x"), ""), chain]
    {
        let place = Place::new();
        let error = place.unpack_within(&layer, limits).unwrap_err();
        assert!(said(&error).contains("more than 256 levels deep"), "{}", said(&error));
        std::fs::remove_dir_all(place.path("")).unwrap();
    }
    Place::new().unpack_within(&TestLayer::new().folder(&"d/".repeat(200)), limits).unwrap();
}

#[test]
fn a_name_that_comes_again_and_again_is_one_file() {
    let limits = Limits { entries: 100_000, bytes: 1 << 20, stream: u64::MAX };
    let place = Place::new();
    let layer = (0..10_000).fold(TestLayer::new(), |layer, n: u32| match n % 3 {
        0 => layer.file("a/b", n.to_string()),
        1 => layer.folder("a/b"),
        _ => layer.symlink("a/b", "/etc"),
    });
    let unpacked = place.unpack_within(&layer, limits).unwrap();
    assert_eq!(unpacked.entries, 10_000);
    assert_eq!(std::fs::read_to_string(place.path("a/b")).unwrap(), "9999");
    assert_eq!(std::fs::read_dir(place.path("a")).unwrap().count(), 1);
}
