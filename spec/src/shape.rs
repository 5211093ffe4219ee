//! Whether the values of keys that nothing decodes have the shape that the specification gives
//! them: what is held is still read with care.

use crate::decode::Field;
use crate::item::Node;
use crate::keys::Shape;
use crate::scalar;

/// Says what is wrong with the value of a key, not with what is below it in keys of its own.
pub(crate) fn check(field: &Field<'_>, shape: Shape) {
    if field.item.is_null() {
        return;
    }
    let field = &field.clone().unmarked();
    match shape {
        Shape::Text => drop(field.text()),
        Shape::Bool => drop(field.boolean()),
        Shape::Whole => drop(field.whole::<i64>()),
        Shape::Number => drop(field.parsed("a number", |text| text.parse::<f64>().ok())),
        Shape::Bytes if field.item.text() == Some("-1") => {}
        Shape::Bytes => drop(field.bytes()),
        Shape::Duration => drop(field.duration()),
        Shape::Mode => {
            _ = field.parsed("an octal mode such as `0440`", |text| scalar::mode(text, false))
        }
        Shape::Scalar => drop(field.loose_text()),
        Shape::Texts => drop(field.texts()),
        Shape::Loose => drop(field.loose_texts()),
        Shape::TextOrTexts if field.item.text().is_some() => drop(field.text()),
        Shape::TextOrTexts => drop(field.texts()),
        Shape::Command => drop(field.words()),
        Shape::Pairs => pairs(field),
        Shape::Scalars => drop(field.pairs()),
        Shape::Names | Shape::Map => mapping(field),
        Shape::TextOrMap | Shape::FlagOrMap if field.item.text().is_some() => {}
        Shape::TextOrMap | Shape::FlagOrMap => mapping(field),
        Shape::TextOrItems if field.item.text().is_some() => {}
        Shape::Items | Shape::TextOrItems => drop(field.list()),
    }
}

fn mapping(field: &Field<'_>) {
    if !matches!(field.item.node, Node::Map(_)) {
        field.wrong::<()>("a mapping");
    }
}

/// The list form of those that are not written out, of host names for one, stays a list.
fn pairs(field: &Field<'_>) {
    match &field.item.node {
        Node::List(_) => drop(field.loose_texts()),
        Node::Map(_) => drop(field.pairs()),
        Node::Scalar(_) => drop(field.wrong::<()>("a mapping or a list")),
    }
}
