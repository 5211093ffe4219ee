//! The resolved model of a stack as canonical YAML or JSON: every file merged, every variable put
//! in, every short form written out, relative paths made whole.
//!
//! # Invariants
//! - Rendering what was rendered gives the same text: names, paths and `$` are written so that
//!   they mean the same again. For that the project's folder must be absolute.
//! - Keys of mappings are sorted, so equal stacks give equal texts.
//! - Services that no profile enables are left out, as docker compose does.
//!
//! # Not here
//! Defaults of the engine, and what lowering decides.

mod hash;
mod json_values;
mod services;
mod shape;
mod top_level;
mod tree;
mod value;
mod yaml_text;

use std::collections::BTreeMap;

use crate::files::Files;
use crate::item::Item;
use crate::load::{self, Loaded};
use crate::project::Project;
use crate::stack::Stack;

pub use shape::{RenderedItem, RenderedStack};
pub use value::{Entry, Node, Value};

/// What rendering came to.
#[derive(Debug)]
#[must_use = "its problems are to be looked at"]
pub struct Rendered {
    /// The resolved model; absent when a problem is an error.
    pub document: Option<Document>,
    /// What loading said.
    pub loaded: Loaded,
}

/// A stack's resolved model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    root: Value,
}

/// Loads the stack of `project`, and renders it.
pub fn render(project: &Project, files: &dyn Files) -> Rendered {
    let (loaded, model) = load::resolve(project, files);
    let document = match (&loaded.stack, model) {
        (Some(stack), Some(model)) => Some(Document { root: root(stack, &model) }),
        _ => None,
    };
    Rendered { document, loaded }
}

impl Document {
    /// The whole tree.
    pub fn root(&self) -> &Value {
        &self.root
    }

    /// As YAML.
    pub fn yaml(&self) -> String {
        yaml_text::write(&self.root, false)
    }

    /// As YAML, with a comment at every value that says where it was written.
    pub fn yaml_with_origins(&self) -> String {
        yaml_text::write(&self.root, true)
    }

    /// Section by section, as it is printed in JSON.
    pub fn sections(&self) -> RenderedStack {
        (&self.root).into()
    }

    /// As JSON.
    pub fn json(&self) -> serde_json::Value {
        json_values::value(&self.root)
    }

    /// Where each value was written, by path: `services.web.image`.
    pub fn origins(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        self.root.each_leaf(&mut String::new(), &mut |path, value| {
            if let Some(at) = &value.at {
                found.insert(path.to_owned(), at.story());
            }
        });
        found
    }

    /// A digest of each service's resolved model, by name.
    pub fn hashes(&self) -> BTreeMap<String, String> {
        let services = self.root.get("services").map(Value::entries).unwrap_or_default();
        services.iter().map(|entry| (entry.key.clone(), hash::of(&entry.value))).collect()
    }
}

/// Sections in the order in which people read them.
fn root(stack: &Stack, model: &Item) -> Value {
    let mut entries = vec![Entry {
        key: "name".into(),
        value: value::text(&stack.name, stack.origins.get("name")),
    }];
    entries.push(Entry { key: "services".into(), value: services::all(stack, model) });
    entries.extend(top_level::all(stack, model));
    let own = model.entries().iter().filter(|entry| entry.key.starts_with("x-"));
    let mut own: Vec<Entry> = own.map(|entry| tree::entry(entry, None)).collect();
    own.sort_by(|one, two| one.key.cmp(&two.key));
    entries.extend(own);
    Value { node: Node::Map(entries), at: None }
}
