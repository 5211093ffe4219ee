//! Whether a rule that is there is the one that was written.
//!
//! The kernel shows more than it was given (defaults, counters), so all that was given must be
//! there, and no expression more. Nothing is compared with an echo of what was written.

use super::expr::Expr;
use super::wire::{Attributes, list, marked, parse, text};

const NAME: u16 = 1;
const DATA: u16 = 2;

/// `seen` is a rule's list of expressions, as the kernel dumps it.
pub(super) fn is(wanted: &[Expr], seen: &[u8]) -> bool {
    let mut ours = Attributes::default();
    wanted.iter().for_each(|expr| expr.encode(&mut ours));
    let (ours, theirs): (Vec<_>, Vec<_>) = (list(&ours.0).collect(), list(seen).collect());
    ours.len() == theirs.len()
        && ours.iter().zip(&theirs).all(|((_, one), (_, other))| is_expression(one, other))
}

fn is_expression(ours: &[u8], theirs: &[u8]) -> bool {
    let (one, other) = (parse(ours), parse(theirs));
    let name = |of: &std::collections::BTreeMap<u16, &[u8]>| of.get(&NAME).map(|name| text(name));
    let data = |of: &std::collections::BTreeMap<u16, &[u8]>| {
        of.get(&DATA).map(|data| data.to_vec()).unwrap_or_default()
    };
    let plain = !inverts(&name(&other).unwrap_or_default(), &data(&other));
    name(&one) == name(&other) && plain && includes(&data(&one), &data(&other))
}

/// We never ask for what is *not* in a set.
fn inverts(name: &str, data: &[u8]) -> bool {
    const FLAGS: u16 = 5;
    name == "lookup" && parse(data).get(&FLAGS).is_some_and(|flags| flags.iter().any(|b| *b != 0))
}

fn includes(ours: &[u8], theirs: &[u8]) -> bool {
    let theirs = parse(theirs);
    marked(ours).all(|(kind, nested, value)| {
        theirs.get(&kind).is_some_and(|other| match nested {
            true => includes(value, other),
            false => value == *other,
        })
    })
}
