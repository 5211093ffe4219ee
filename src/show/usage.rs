//! What was taken away for want of room, in words.

use super::size::size;
use keel_reconciler::rows::ClearedRow;

/// `2 images and 1 revision, 187MB`.
pub fn cleared(row: &ClearedRow) -> String {
    let images = u64::try_from(row.images.len()).unwrap_or(u64::MAX);
    let parts = [
        counted(images, "image"),
        counted(row.revisions, "revision"),
        counted(row.contents, "config"),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    let what = match parts.as_slice() {
        [] => "what had no name".to_owned(),
        [one] => one.clone(),
        [before @ .., last] => format!("{} and {last}", before.join(", ")),
    };
    format!("{what}, {}", size(row.bytes))
}

fn counted(count: u64, what: &str) -> Option<String> {
    match count {
        0 => None,
        1 => Some(format!("1 {what}")),
        _ => Some(format!("{count} {what}s")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_reads_like_a_sentence() {
        let row = |images: &[&str], revisions, contents| {
            let images = images.iter().map(|name| (*name).to_owned()).collect();
            cleared(&ClearedRow { images, revisions, contents, bytes: 1_240, ..Default::default() })
        };
        assert_eq!(row(&["a", "b"], 1, 3), "2 images, 1 revision and 3 configs, 1.24kB");
        assert_eq!(row(&["a"], 2, 0), "1 image and 2 revisions, 1.24kB");
        assert_eq!(row(&[], 0, 1), "1 config, 1.24kB");
        assert_eq!(row(&[], 0, 0), "what had no name, 1.24kB");
    }
}
