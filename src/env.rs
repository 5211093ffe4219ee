//! The variables of the environment that commands read, beside those that a stack interpolates.

/// Another root than [`keel_embedded::layout::DEFAULT_ROOT`].
pub const ROOT: &str = "KEEL_ROOT";
/// Another configuration than `/etc/keel/keel.yaml`.
pub const CONFIG: &str = "KEEL_CONFIG";
/// Where the API answers, instead of the root's socket: `unix:///run/keel/keel.sock`.
pub const HOST: &str = "KEEL_HOST";
/// What `keel agent` joins a pool with.
pub const TOKEN: &str = "KEEL_TOKEN";
/// The folder of docker's `config.json`.
pub const DOCKER_CONFIG: &str = "DOCKER_CONFIG";
/// Where Docker answers on this host, if not at `unix:///var/run/docker.sock`: what it runs already
/// is held.
pub const DOCKER_HOST: &str = "DOCKER_HOST";
/// Whose home: for `~` and `config.json`.
pub const HOME: &str = "HOME";
/// The Compose files, where none are named; docker compose's.
pub const COMPOSE_FILE: &str = "COMPOSE_FILE";
/// A level: diagnostics of this level and above go to standard error.
pub const LOG: &str = "KEEL_LOG";
/// Not empty: no colours.
pub const NO_COLOR: &str = "NO_COLOR";
/// The kind of terminal: `dumb` knows no colours.
pub const TERM: &str = "TERM";

/// The value, where it is set, is text and not empty.
pub fn get(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
