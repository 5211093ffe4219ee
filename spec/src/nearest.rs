//! "Did you mean": the known word that is most like one that is not known.

/// Longer words are no typos of anything.
const LONGEST: usize = 64;

/// How many words are compared.
const MOST: usize = 1000;

/// The word among `known` that is close enough to be what was meant.
pub fn of<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST {
        return None;
    }
    let plain = |word: &str| word.to_lowercase().replace('-', "_");
    let wanted = plain(word);
    let near = |candidate: &str| {
        let candidate = plain(candidate);
        let distance = strsim::damerau_levenshtein(&wanted, &candidate);
        // One typo in a short word, up to three in a long one; or one word inside the other.
        let allowed = (wanted.chars().count() / 3).clamp(1, 3);
        let close = distance <= allowed || (wanted.len() > 3 && candidate.starts_with(&wanted));
        close.then_some(distance)
    };
    known
        .into_iter()
        .take(MOST)
        .filter_map(|word| Some((near(word)?, word)))
        .min()
        .map(|(_, word)| word)
}

/// A hint that offers the nearest of `known`.
pub fn hint<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    of(word, known).map(|near| format!("did you mean `{near}`?"))
}
