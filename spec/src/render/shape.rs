//! The shape of a rendered stack in JSON.

use super::json_values;
use super::value::{Entry, Value};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// One service, network, volume, config, secret or model: the keys that the Compose specification has for it, every
/// short form written out.
pub type RenderedItem = BTreeMap<String, Json>;

/// `render`: a stack's resolved model, which is a Compose file again. The keys of a service and of the other items
/// are those of `keel schema compose`, in their long forms. Fields are in the order in which they are printed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct RenderedStack {
    /// Configs by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub configs: BTreeMap<String, RenderedItem>,
    /// Models by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub models: BTreeMap<String, RenderedItem>,
    /// The stack's name.
    pub name: String,
    /// Networks by name, `default` among them where a service is on it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub networks: BTreeMap<String, RenderedItem>,
    /// Secrets by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, RenderedItem>,
    /// Enabled services by name.
    pub services: BTreeMap<String, RenderedItem>,
    /// Volumes by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, RenderedItem>,
    /// Keys that begin with `x-`.
    #[serde(flatten)]
    pub extensions: BTreeMap<String, Json>,
}

impl From<&Value> for RenderedStack {
    fn from(root: &Value) -> Self {
        let mut stack = Self::default();
        root.entries().iter().for_each(|entry| stack.take(entry));
        stack
    }
}

impl RenderedStack {
    fn take(&mut self, Entry { key, value }: &Entry) {
        let section = match key.as_str() {
            "name" => {
                if let Json::String(name) = json_values::value(value) {
                    self.name = name;
                }
                return;
            }
            "configs" => &mut self.configs,
            "models" => &mut self.models,
            "networks" => &mut self.networks,
            "secrets" => &mut self.secrets,
            "services" => &mut self.services,
            "volumes" => &mut self.volumes,
            _ => {
                self.extensions.insert(key.clone(), json_values::value(value));
                return;
            }
        };
        *section = items(value);
    }
}

fn items(section: &Value) -> BTreeMap<String, RenderedItem> {
    let item = |entry: &Entry| (entry.key.clone(), keys(&entry.value));
    section.entries().iter().map(item).collect()
}

fn keys(item: &Value) -> RenderedItem {
    let key = |entry: &Entry| (entry.key.clone(), json_values::value(&entry.value));
    item.entries().iter().map(key).collect()
}
