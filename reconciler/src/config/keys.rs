//! Every key of `keel.yaml`, once: what it takes and what it is about. The reader refuses what is
//! not here, and the schema for editors is made from it.

use crate::config::duration::PATTERN;
use crate::config::size;
use serde_json::{Map, Value, json};

/// What a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Keys of this table.
    Map,
    /// Names that people choose; below each, keys of this table.
    Named,
    /// Names that people choose, each with a text.
    Pairs,
    Text,
    /// One text, or a list of them.
    Texts,
    List,
    /// A list of maps, each with keys of this table.
    Maps,
    Flag,
    Duration,
    Size,
    Words(&'static [&'static str]),
    /// A list of some of these.
    SomeWords(&'static [&'static str]),
    /// A list of some of these, or of none.
    AnyWords(&'static [&'static str]),
    /// Known, and refused by name until a version obeys it.
    NotYet,
}

/// A key: its path (`*` stands for a chosen name), what it takes, what it is about.
#[derive(Debug)]
pub(crate) struct Key {
    pub path: &'static str,
    pub shape: Shape,
    pub about: &'static str,
}

const fn key(path: &'static str, shape: Shape, about: &'static str) -> Key {
    Key { path, shape, about }
}

/// Forges whose webhooks are understood.
pub(crate) const FORGES: &[&str] = &["github", "gitlab", "gitea", "generic"];

/// Forges that take commit statuses.
pub(crate) const STATUS_FORGES: &[&str] = &["github", "gitlab", "gitea"];

/// Kinds of receivers of messages: each has a key of its name for its URL, and one with `-file`.
pub(crate) const RECEIVERS: &[&str] = &["webhook", "ntfy"];

/// What messages are about.
pub(crate) const KINDS: &[&str] = &["failed", "recovered", "drift"];

use Shape::{
    AnyWords, Duration, Flag, List, Map as Keys, Maps, Named, NotYet, Pairs, Size, SomeWords, Text,
    Texts, Words,
};

/// Parents come before their keys.
pub(crate) const KEYS: &[Key] = &[
    key("sources", Named, "Where stacks come from, by a name of your choice."),
    key(
        "sources.*.git",
        Text,
        "A Git repository: http(s)://, ssh://, user@host:path, file:// or a path.",
    ),
    key("sources.*.dir", Text, "A folder on this machine, instead of `git`."),
    key("sources.*.branch", Text, "The branch to follow; unless set, the one that HEAD names."),
    key(
        "sources.*.commit",
        Text,
        "One commit to stay at, instead of a branch: all of its 40 digits.",
    ),
    key(
        "sources.*.tag",
        Text,
        "A tag, or the highest of a range such as >=1.2 <2, instead of a branch.",
    ),
    key(
        "sources.*.path",
        Texts,
        "Globs: every folder that matches and holds a Compose file is a stack.",
    ),
    key(
        "sources.*.max-size",
        Size,
        "How many bytes a fetch may transfer, and the files of a checkout may have: 2GiB.",
    ),
    key(
        "sources.*.poll",
        Duration,
        "How often the source is checked: 60s for `git`, 30s for `dir`.",
    ),
    key(
        "sources.*.env",
        Pairs,
        "Variables that the source's stacks may interpolate; they win over `.env`.",
    ),
    key(
        "sources.*.data-dir",
        Text,
        "Where files that are not in Git, and data next to the Compose files, are kept.",
    ),
    key(
        "sources.*.allow",
        AnyWords(keel_spec::Permission::WORDS),
        "What its stacks may use of the host; unless set, all that Compose can ask for: anyone who can push is root.",
    ),
    key("sources.*.auth", Keys, "How this machine authenticates to the Git server."),
    key("sources.*.auth.token-file", Text, "A file with an access token, for https."),
    key(
        "sources.*.auth.username",
        Text,
        "The user for `password-file`, or for a token where a forge requires one.",
    ),
    key("sources.*.auth.password-file", Text, "A file with the user's password, for https."),
    key("sources.*.auth.ssh-key-file", Text, "A private key without a passphrase, for ssh."),
    key("sources.*.auth.known-hosts", Text, "The server's host keys; any other key is refused."),
    key("sources.*.verify", NotYet, "Whose signature a revision must carry."),
    key("sources.*.webhook", Keys, "How the forge announces a push: POST /hooks/NAME."),
    key(
        "sources.*.webhook.type",
        Words(FORGES),
        "The kind of forge that signs requests; Forgejo is `gitea`.",
    ),
    key("sources.*.webhook.secret-file", Text, "A file with the secret that the forge signs with."),
    key("sources.*.forge", Keys, "Where to set commit statuses; for `git` sources."),
    key("sources.*.forge.type", Words(STATUS_FORGES), "The kind of forge; Forgejo is `gitea`."),
    key(
        "sources.*.forge.token-file",
        Text,
        "A file with a token that may set the repository's commit statuses.",
    ),
    key("sources.*.forge.api", Text, "The URL of the API, if it cannot be derived from `git`."),
    key("sources.*.forge.repo", Text, "owner/name, if it cannot be derived from `git`."),
    key("policy", Keys, "Defaults of every stack's policy; `x-keel` in a stack or service wins."),
    key(
        "policy.drift",
        Words(&["heal", "report"]),
        "Whether to undo changes made by hand, or only report them.",
    ),
    key(
        "policy.settle",
        Duration,
        "How long a new container must stay healthy before it counts: 10s.",
    ),
    key(
        "policy.health-timeout",
        Duration,
        "How long a container may take to become healthy; unless set, the health check's own limits.",
    ),
    key("policy.prune", Flag, "Whether to remove what is no longer in the source: true."),
    key("policy.deploy", NotYet, "Whether changes wait for a person."),
    key(
        "policy.prune-volumes",
        Flag,
        "Whether to remove volumes with their data once they, or their stack, are no longer in the source: false.",
    ),
    key(
        "policy.rollback",
        Flag,
        "Whether to roll back from a failed revision to the last good one: true.",
    ),
    key(
        "policy.image-wait",
        Duration,
        "How long to wait for an image that its registry does not have yet: 15m.",
    ),
    key("policy.window", NotYet, "When changes may be made."),
    key("store", Keys, "Where what a controller must not lose is kept, instead of files."),
    key("store.etcd", Keys, "An etcd that several controllers share; one of them leads."),
    key("store.etcd.endpoints", List, "URLs of its members."),
    key("store.etcd.prefix", Text, "What its keys begin with; keel, unless set."),
    key("store.etcd.tls", Keys, "Files of TLS, where the URLs begin with https://."),
    key("store.etcd.tls.ca", Text, "Certificates of who certified the members."),
    key("store.etcd.tls.cert", Text, "The controller's certificate."),
    key("store.etcd.tls.key", Text, "Its private key."),
    key("listen", Keys, "Addresses to listen on; nothing else is opened."),
    key("listen.webhooks", Text, "Where forges call: 0.0.0.0:9000."),
    key("listen.api", NotYet, "The API over the network."),
    key("listen.agents", Text, "Where further nodes connect: 0.0.0.0:7443."),
    key("pool", Keys, "How nodes of a pool are watched, and what its keys are sealed with."),
    key(
        "pool.down-after",
        Duration,
        "How long a node may be silent before its tasks are started elsewhere: 15s.",
    ),
    key(
        "pool.unlock-key-file",
        Text,
        "A file outside of the root that seals the key of the pool's certificate authority; without it, nothing is decided.",
    ),
    key("registries", Named, "How registries are reached, by host."),
    key(
        "registries.*.mirrors",
        List,
        "Mirrors to ask first, in this order; `http://` ones without TLS.",
    ),
    key("registries.*.insecure", Flag, "Whether to use plain HTTP."),
    key(
        "registries.*.auth-hosts",
        List,
        "Further hosts that may receive its credentials, and that it may redirect to at private addresses.",
    ),
    key("notify", Maps, "Who is told when something fails, recovers or drifts."),
    key("notify.*.webhook", Text, "A URL that receives messages as JSON, such as Slack's."),
    key("notify.*.webhook-file", Text, "A file with that URL, if the URL is a secret."),
    key("notify.*.ntfy", Text, "A topic of an ntfy server: https://ntfy.example.org/keel."),
    key("notify.*.ntfy-file", Text, "A file with that URL, if the topic is a secret."),
    key("notify.*.token-file", Text, "A file with a bearer token to send."),
    key("notify.*.secret-file", Text, "A file with the secret that signs a webhook's body."),
    key("notify.*.on", SomeWords(KINDS), "Which events to send; unless set, all."),
    key("reports", NotYet, "Reports, and when they are written."),
];

/// The row of a path.
pub(crate) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// The keys right below a path (`""` is the whole file), by their last word.
pub(crate) fn below(home: &str) -> impl Iterator<Item = (&'static str, &'static Key)> + '_ {
    KEYS.iter().filter_map(move |key| {
        let (parent, name) = key.path.rsplit_once('.').unwrap_or(("", key.path));
        (parent == home).then_some((name, key))
    })
}

/// The JSON Schema of `keel.yaml`. What is not obeyed yet is not in it.
#[must_use]
pub fn schema() -> Value {
    let mut schema = object("");
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("keel.yaml");
    schema["description"] = json!("Evenkeel's configuration.");
    schema
}

fn object(home: &str) -> Value {
    let obeyed = below(home).filter(|(_, key)| key.shape != NotYet);
    let properties: Map<_, _> =
        obeyed.map(|(name, key)| (name.to_owned(), property(key))).collect();
    json!({ "type": ["object", "null"], "properties": properties, "additionalProperties": false })
}

fn property(key: &Key) -> Value {
    let mut property = match key.shape {
        Keys => object(key.path),
        Named => {
            let each = object(&format!("{}.*", key.path));
            json!({ "type": ["object", "null"], "additionalProperties": each })
        }
        Pairs => {
            let value = json!({ "type": ["string", "number", "boolean"] });
            json!({ "type": "object", "additionalProperties": value })
        }
        Texts => json!({ "oneOf": [
            { "type": "string" },
            { "type": "array", "items": { "type": "string" }, "minItems": 1 },
        ] }),
        List => json!({ "type": "array", "items": { "type": "string" } }),
        Maps => {
            let each = object(&format!("{}.*", key.path));
            json!({ "type": ["array", "null"], "items": each })
        }
        Flag => json!({ "type": "boolean" }),
        Duration => json!({ "type": "string", "pattern": PATTERN, "examples": ["1m30s"] }),
        Size => json!({ "type": "string", "pattern": size::PATTERN, "examples": ["500MiB"] }),
        Words(words) => json!({ "enum": words }),
        SomeWords(words) => {
            json!({ "type": "array", "items": { "enum": words }, "minItems": 1 })
        }
        AnyWords(words) => json!({ "type": "array", "items": { "enum": words } }),
        Text | NotYet => json!({ "type": "string", "minLength": 1 }),
    };
    property["description"] = json!(key.about);
    property
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_parent_before_it() {
        for (at, row) in KEYS.iter().enumerate() {
            let Some((parent, _)) = row.path.rsplit_once('.') else { continue };
            let (parent, named) = match parent.strip_suffix(".*") {
                Some(parent) => (parent, true),
                None => (parent, false),
            };
            let before = KEYS[..at].iter().find(|row| row.path == parent);
            let shape = before.unwrap_or_else(|| panic!("{} has no parent", row.path)).shape;
            let right = if named { matches!(shape, Named | Maps) } else { shape == Keys };
            assert!(right, "{}", row.path);
        }
    }

    #[test]
    fn the_schema_has_what_is_obeyed_and_nothing_else() {
        let schema = schema();
        let source = &schema["properties"]["sources"]["additionalProperties"];
        assert_eq!(source["properties"]["auth"]["properties"]["token-file"]["type"], "string");
        assert_eq!(source["additionalProperties"], false);
        assert_eq!(source["properties"]["allow"]["minItems"], Value::Null, "none may be allowed");
        assert_eq!(source["properties"]["webhook"]["properties"]["type"]["enum"], json!(FORGES));
        assert!(source["properties"]["verify"].is_null());
        let receiver = &schema["properties"]["notify"]["items"];
        assert_eq!(receiver["properties"]["on"]["items"]["enum"], json!(KINDS));
        assert_eq!(receiver["additionalProperties"], false);
        for name in RECEIVERS {
            for key in [(*name).to_owned(), format!("{name}-file")] {
                assert_eq!(receiver["properties"][&key]["type"], "string", "{key}");
            }
        }
        assert!(schema["properties"]["reports"].is_null());
    }
}
