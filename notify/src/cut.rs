//! Texts within limits.

/// At most so many characters, the last of which says that there was more.
pub(crate) fn characters(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// At most so many bytes, likewise.
pub(crate) fn bytes(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let room = most.saturating_sub('…'.len_utf8());
    let end = (0..=room).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_text_keeps_whole_characters_and_says_so() {
        assert_eq!(characters("äöü", 3), "äöü");
        assert_eq!(characters("äöüß", 3), "äö…");
        assert_eq!(bytes("äöü", 6), "äöü");
        assert_eq!(bytes("äöüß", 6), "ä…");
        assert_eq!(bytes("äöüß", 7), "äö…");
    }
}
