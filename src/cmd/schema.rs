//! `keel schema`: JSON Schemas of the files that people write, for editors, and of what commands print
//! with `--format json`.

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use crate::show::json;
use clap::builder::PossibleValue;
use clap::builder::PossibleValuesParser;
use keel_spec::schema;
use serde_json::Value;

/// The arguments of `keel schema`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  keel schema compose > compose.schema.json\n  keel schema config\n  keel schema status\n\nEditors with a YAML language server read it by the first line of a Compose file:\n  # yaml-language-server: $schema=./compose.schema.json"
)]
pub struct Args {
    /// A file format (compose, x-keel, config), or a shape that --format json prints (status, plan, …)
    #[arg(value_name = "NAME", value_parser = names(), hide_possible_values = true)]
    name: String,
}

/// What is written by people.
const FILES: [(&str, &str); 3] = [
    ("compose", "Compose files, with the keys of Evenkeel"),
    ("x-keel", "The keys of Evenkeel alone"),
    ("config", "keel.yaml"),
];

fn names() -> PossibleValuesParser {
    let files = FILES.iter().map(|(name, help)| PossibleValue::new(*name).help(*help));
    let shapes = keel_api::schemas::outputs().into_iter().map(|(name, _)| PossibleValue::new(name));
    files.chain(shapes).collect::<Vec<_>>().into()
}

fn schema_of(name: &str) -> Option<Value> {
    let shape = || {
        let mut shapes = keel_api::schemas::outputs().into_iter();
        shapes.find(|(known, _)| *known == name).map(|(_, schema)| schema.to_value())
    };
    match name {
        "compose" => Some(schema::compose()),
        "x-keel" => Some(schema::x_keel()),
        "config" => Some(keel_reconciler::config::schema()),
        _ => shape(),
    }
}

/// Prints a schema.
pub fn run(args: Args, context: &Context) -> Result<Exit> {
    if let Some(schema) = schema_of(&args.name) {
        context.screen.data(&json::render(&schema))?;
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_schema_of_its_own() {
        let parser = names();
        let names: Vec<_> =
            clap::builder::TypedValueParser::possible_values(&parser).unwrap().collect();
        assert!(names.len() > FILES.len() + 10, "{names:?}");
        let schemas: Vec<_> =
            names.iter().map(|name| schema_of(name.get_name()).unwrap()).collect();
        for (at, schema) in schemas.iter().enumerate() {
            assert!(
                schema.is_object() && !schemas[..at].contains(schema),
                "{}",
                names[at].get_name()
            );
        }
    }
}
