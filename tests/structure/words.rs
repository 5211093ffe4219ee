//! The words of a Rust source: what comments, literals and tests hold is left out.

/// Words and signs in their order; `::` is one of them, and a literal is a lone quote.
pub fn words(text: &str) -> Vec<String> {
    without_tests(&all_words(text))
}

fn all_words(text: &str) -> Vec<String> {
    let signs: Vec<char> = text.chars().collect();
    let mut found = vec![];
    let mut at = 0;
    while at < signs.len() {
        let (word, next) = word_at(&signs, at);
        found.extend(word);
        at = next;
    }
    found
}

/// What begins here, and where it ends.
fn word_at(signs: &[char], at: usize) -> (Option<String>, usize) {
    let next = signs.get(at + 1).copied().unwrap_or(' ');
    match signs[at] {
        '/' if next == '/' => (None, line_end(signs, at)),
        '/' if next == '*' => (None, comment_end(signs, at)),
        '"' => (Some("\"".into()), text_end(signs, at + 1)),
        '\'' => quoted(signs, at),
        ':' if next == ':' => (Some("::".into()), at + 2),
        sign if sign.is_whitespace() => (None, at + 1),
        sign if is_word(sign) => word_or_literal(signs, at),
        sign => (Some(sign.into()), at + 1),
    }
}

fn is_word(sign: char) -> bool {
    sign.is_alphanumeric() || sign == '_'
}

fn line_end(signs: &[char], at: usize) -> usize {
    signs[at..].iter().position(|sign| *sign == '\n').map_or(signs.len(), |length| at + length)
}

fn comment_end(signs: &[char], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0);
    while at < signs.len() {
        match (signs[at], signs.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) if depth == 1 => return at + 2,
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    at
}

/// Behind the quote that ends a text.
fn text_end(signs: &[char], mut at: usize) -> usize {
    while at < signs.len() && signs[at] != '"' {
        at += if signs[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// A character or the name of a lifetime.
fn quoted(signs: &[char], at: usize) -> (Option<String>, usize) {
    if signs.get(at + 1) == Some(&'\\') {
        let end = signs[at + 3..].iter().position(|sign| *sign == '\'');
        return (None, end.map_or(signs.len(), |length| at + length + 4));
    }
    let is_character = signs.get(at + 2) == Some(&'\'');
    (None, if is_character { at + 3 } else { word_end(signs, at + 1) })
}

fn word_end(signs: &[char], at: usize) -> usize {
    let length = signs[at..].iter().position(|sign| !is_word(*sign));
    length.map_or(signs.len(), |length| at + length)
}

fn word_or_literal(signs: &[char], at: usize) -> (Option<String>, usize) {
    let end = word_end(signs, at);
    let word: String = signs[at..end].iter().collect();
    let hashes = signs[end..].iter().take_while(|sign| **sign == '#').count();
    let quote = signs.get(end + hashes) == Some(&'"');
    match word.as_str() {
        "r" | "br" | "cr" if quote => (Some("\"".into()), raw_end(signs, end + hashes + 1, hashes)),
        "b" | "c" if quote && hashes == 0 => (Some("\"".into()), text_end(signs, end + 1)),
        "b" if signs.get(end) == Some(&'\'') => quoted(signs, end),
        // A raw name.
        "r" if hashes == 1 => word_or_literal(signs, end + 1),
        _ => (Some(word), end),
    }
}

fn raw_end(signs: &[char], mut at: usize, hashes: usize) -> usize {
    let ends = |at: usize| {
        signs[at] == '"' && signs[at + 1..].iter().take_while(|s| **s == '#').count() >= hashes
    };
    while at < signs.len() && !ends(at) {
        at += 1;
    }
    at + 1 + hashes
}

/// Without the items that only tests have.
fn without_tests(words: &[String]) -> Vec<String> {
    let mut kept = vec![];
    let mut at = 0;
    while at < words.len() {
        let end = attribute_end(words, at);
        if end.is_some_and(|end| is_for_tests(&words[at..end])) {
            at = item_end(words, end.unwrap_or(at));
        } else {
            kept.push(words[at].clone());
            at += 1;
        }
    }
    kept
}

fn is_for_tests(attribute: &[String]) -> bool {
    let has = |wanted: &str| attribute.iter().any(|word| word == wanted);
    has("cfg") && has("test") && !has("not") && !has("any")
}

/// Behind the attribute that begins here.
fn attribute_end(words: &[String], at: usize) -> Option<usize> {
    let begins = words[at] == "#" && words.get(at + 1).is_some_and(|word| word == "[");
    begins.then(|| closed(words, at + 1))
}

/// Behind the bracket that closes the one here.
pub fn closed(words: &[String], open: usize) -> usize {
    let mut depth = 0;
    for (at, word) in words.iter().enumerate().skip(open) {
        match word.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" if depth == 1 => return at + 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
    }
    words.len()
}

/// Behind the item that begins here, its further attributes included.
fn item_end(words: &[String], mut at: usize) -> usize {
    while at < words.len() {
        match words[at].as_str() {
            ";" | "," => return at + 1,
            "{" => return closed(words, at),
            "(" | "[" => at = closed(words, at),
            _ => at += 1,
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn comments_literals_and_tests_are_left_out() {
        for (text, wanted) in [
            ("use a::b; // crate::c", "use a :: b ;"),
            ("/* crate::a /* b */ c */ d", "d"),
            (r#"f("crate::a \" b", 'x', '\'', b'y')"#, "f ( \" , , , )"),
            (r###"f(r#"crate::"a"#, br"b")"###, "f ( \" , \" )"),
            ("fn f<'a>(x: &'a str)", "fn f < > ( x : & str )"),
            ("r#type::x", "type :: x"),
            ("#[cfg(test)] mod tests { use a::b; } c", "c"),
            ("#[cfg(test)] #[allow(x)] use a::b; c", "c"),
            ("#[cfg(test)]\npub(crate) mod tests; c", "c"),
            ("#[cfg(test)] fn f(x: [u8; 3]) -> u8 { 1 } c", "c"),
            ("#[cfg(not(test))] c", "# [ cfg ( not ( test ) ) ] c"),
        ] {
            assert_eq!(words(text).join(" "), wanted, "{text}");
        }
    }
}
