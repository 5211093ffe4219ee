//! What is packed comes out as it was, and a peer that lies is refused before it costs anything.

use super::*;
use crate::transport::body::with_length;
use crate::transport::parcel::{Name, pack};
use keel_engine::tree::digest_by;
use keel_engine::{Presence, PullPolicy};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

fn spool() -> (tempfile::TempDir, Spool) {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(&folder.path().join("spool")).unwrap();
    (folder, spool)
}

fn image() -> Assignment {
    let (reference, policy) = ("app:1".to_owned(), PullPolicy::Missing);
    Assignment::Image { reference, policy, wanted: Presence::Present }
}

/// Short and long files, a link, and a name that is no text.
fn tree() -> Tree {
    let odd = PathBuf::from(OsString::from_vec(b"folder/\xff".to_vec()));
    let content = BTreeMap::from([
        (PathBuf::from("folder/long"), vec![7; 3 << 20]),
        (PathBuf::from("folder/short"), b"short".to_vec()),
        (odd.clone(), b"odd".to_vec()),
    ]);
    let file = |size| EntryKind::File { executable: size == 5, size };
    let entries = [
        (PathBuf::new(), EntryKind::Folder),
        ("folder".into(), EntryKind::Folder),
        ("folder/long".into(), file(3 << 20)),
        ("folder/short".into(), file(5)),
        (odd, file(3)),
        ("link".into(), EntryKind::Link("folder/short".into())),
    ];
    let entries: Vec<_> = entries.map(|(path, kind)| TreeEntry { path, kind }).into();
    let digest = digest_by(&entries, |path| Ok(Digest::of(&content[path]))).unwrap();
    Tree::new(digest, entries, Arc::new(content)).unwrap()
}

fn packed(wishes: &[Assignment]) -> Vec<u8> {
    let mut bytes = Vec::new();
    pack(None, wishes, &mut bytes).unwrap();
    bytes
}

fn content_digest(tree: &Tree, path: &Path) -> io::Result<Digest> {
    match tree.files().open(path)? {
        Some(file) => Digest::of_reader(file).map(|(digest, _)| digest),
        None => tree.files().read(path).map(|content| Digest::of(&content)),
    }
}

#[test]
fn wishes_come_out_as_they_went_in() {
    let (folder, spool) = spool();
    let content = Content::of(vec![9; 100_000]);
    let wishes = [image(), Assignment::Content(content), Assignment::Tree(tree()), image()];
    let lease = Lease { holder: "a test".into(), epoch: 1, number: 2, term: None };
    let mut bytes = Vec::new();
    pack(Some(&lease), &wishes, &mut bytes).unwrap();
    let unpacked = unpack(&bytes[..], &spool, &Limits::default()).unwrap();
    assert_eq!((unpacked.lease, &unpacked.wishes[..]), (Some(lease), &wishes[..]));
    let Assignment::Tree(tree) = &unpacked.wishes[2] else { panic!("it is a tree") };
    let digest = digest_by(tree.entries(), |path| content_digest(tree, path)).unwrap();
    assert_eq!(digest, tree.digest, "the content of every file is what it was");
    assert!(tree.files().open(Path::new("folder/long")).unwrap().is_some(), "the kernel copies it");
    drop(unpacked.wishes);
    let left = std::fs::read_dir(folder.path().join("spool")).unwrap().count();
    assert_eq!(left, 0, "nothing stays on disk of what nobody has");
}

#[test]
fn what_a_dead_process_left_goes_with_the_next() {
    let (folder, spool) = spool();
    std::mem::forget(spool.begin().unwrap());
    let spool = Spool::open(&folder.path().join("spool")).unwrap();
    spool.begin().unwrap();
    assert_eq!(std::fs::read_dir(folder.path().join("spool")).unwrap().count(), 0);
}

#[test]
fn a_parcel_that_is_cut_anywhere_is_refused_and_leaves_nothing() {
    let (folder, spool) = spool();
    let wishes = [image(), Assignment::Content(Content::of(*b"secret")), Assignment::Tree(tree())];
    let bytes = packed(&wishes);
    let cuts =
        (0..bytes.len()).filter(|at| *at < 700 || at % 400_009 == 0 || *at + 300 > bytes.len());
    for at in cuts {
        let refused = unpack(&bytes[..at], &spool, &Limits::default());
        assert!(matches!(refused, Err(UnpackError::Line(_))), "cut at {at}");
    }
    assert_eq!(std::fs::read_dir(folder.path().join("spool")).unwrap().count(), 0);
}

#[test]
fn what_is_over_a_limit_is_refused_by_its_announcement() {
    let (_folder, spool) = spool();
    let limits = Limits { message: 400, content: 10, tree: 1 << 20, ..Limits::default() };
    let refused = |wishes: &[Assignment]| {
        let error = unpack(&packed(wishes)[..], &spool, &limits).err().unwrap();
        assert!(matches!(error, UnpackError::TooLong { .. }), "{error}");
        EngineError::from(error).to_string()
    };
    let content = |byte| Assignment::Content(Content::of([byte; 6]));
    assert_eq!(
        refused(&[content(1), content(2)]),
        "configs and secrets of 12 bytes exceed this node's limit of 10"
    );
    assert_eq!(
        refused(&[Assignment::Tree(tree())]),
        "the files of a mount of 3145728 bytes exceed this node's limit of 1048576"
    );
    refused(&[image(), image(), image(), image(), image(), image()]);
}

#[test]
fn content_that_is_not_what_its_digest_says_is_refused_unread() {
    let (_folder, spool) = spool();
    let mut bytes = packed(&[Assignment::Content(Content::of(*b"hunter2"))]);
    let at = bytes.windows(7).position(|part| part == b"hunter2").unwrap();
    bytes[at] = b'p';
    let error = EngineError::from(unpack(&bytes[..], &spool, &Limits::default()).err().unwrap());
    assert!(!format!("{error} {error:?}").contains("unter2"), "{error:?}");
}

#[test]
fn a_tree_that_leads_elsewhere_is_refused() {
    let (_folder, spool) = spool();
    let (digest, nowhere) = (Digest::of(b"x"), Name::Text("../../etc/passwd".into()));
    let pieces = [
        Piece::Under(None),
        Piece::Tree { digest },
        Piece::Folder { path: Name::Text(String::new()) },
        Piece::Link { path: nowhere, target: Name::Text("x".into()) },
        Piece::TreeEnd,
        Piece::End,
    ];
    let said = pieces.iter().flat_map(|piece| with_length(&wire::seal(piece).unwrap()).unwrap());
    let said: Vec<u8> = said.collect();
    let refused = unpack(&said[..], &spool, &Limits::default());
    assert!(matches!(refused, Err(UnpackError::Tree(TreeError::Path(_)))));
    let nothing = with_length(&wire::seal(&Piece::End).unwrap()).unwrap();
    let refused = unpack(&nothing[..], &spool, &Limits::default());
    assert!(matches!(refused, Err(UnpackError::Disorder)), "the lease comes first");
}
