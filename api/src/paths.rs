//! Every route's path, once: the router and the client read the same line.

/// Version and root.
pub const INFO: &str = "/v1/info";
/// Hints that something changed, as lines.
pub const EVENTS: &str = "/v1/events";
/// Everything about one thing.
pub const INSPECT: &str = "/v1/inspect";
/// A conversation with a task.
pub const OPEN: &str = "/v1/open";

/// Sync, health, operation.
pub const STATUS: &str = "/v1/stacks/status";
/// What happened.
pub const HISTORY: &str = "/v1/stacks/history";
/// What a pass would do.
pub const PLAN: &str = "/v1/stacks/plan";
/// The sources that a push can be previewed for.
pub const PREVIEW_SOURCES: &str = "/v1/preview/sources";
/// What a push would do.
pub const PREVIEW: &str = "/v1/preview";
/// What a stack shall be, as stored.
pub const DESIRED: &str = "/v1/stacks/desired";
/// `up`, `apply`.
pub const CONVERGE: &str = "/v1/stacks/converge";
/// `down`.
pub const DOWN: &str = "/v1/stacks/down";
/// What differs from what was applied.
pub const DRIFT: &str = "/v1/stacks/drift";
/// `rollback`.
pub const ROLLBACK: &str = "/v1/stacks/rollback";
/// `rebalance`.
pub const REBALANCE: &str = "/v1/stacks/rebalance";
/// What that would move.
pub const MOVES: &str = "/v1/stacks/moves";
/// `scale`.
pub const SCALE: &str = "/v1/stacks/scale";
/// `suspend`.
pub const SUSPEND: &str = "/v1/stacks/suspend";
/// `resume`.
pub const RESUME: &str = "/v1/stacks/resume";

/// The sources' state.
pub const SOURCES: &str = "/v1/sources";
/// Receivers and forges that are not reached.
pub const DELIVERIES: &str = "/v1/deliveries";
/// `sync`.
pub const SYNC: &str = "/v1/sources/sync";
/// `source create`.
pub const SOURCE_CREATE: &str = "/v1/sources/create";
/// `confirm`.
pub const CONFIRM: &str = "/v1/sources/confirm";

/// `ps`.
pub const PS: &str = "/v1/containers/list";
/// What a target means.
pub const RESOLVE: &str = "/v1/containers/resolve";
/// `start`, `stop`, `restart`, `kill`, `rm`.
pub const ACT: &str = "/v1/containers/act";
/// Waits for a task to get somewhere.
pub const WAIT: &str = "/v1/containers/wait";
/// `run`.
pub const RUN: &str = "/v1/containers/run";
/// Starts what `run` left ready.
pub const RUN_START: &str = "/v1/containers/run/start";

/// `images`.
pub const IMAGES: &str = "/v1/images";
/// `pull`.
pub const PULL: &str = "/v1/images/pull";
/// `rmi`.
pub const RMI: &str = "/v1/images/remove";
/// `volume ls`.
pub const VOLUMES: &str = "/v1/volumes";
/// `volume create`.
pub const VOLUME_CREATE: &str = "/v1/volumes/create";
/// `volume rm`.
pub const VOLUME_RM: &str = "/v1/volumes/remove";
/// `network ls`.
pub const NETWORKS: &str = "/v1/networks";
/// `network create`.
pub const NETWORK_CREATE: &str = "/v1/networks/create";
/// `network rm`.
pub const NETWORK_RM: &str = "/v1/networks/remove";

/// `node ls`.
pub const NODES: &str = "/v1/nodes";
/// `node label`, `node drain`, `node activate`, `node rm`.
pub const NODE_CHANGE: &str = "/v1/nodes/change";
/// `token ls`.
pub const TOKENS: &str = "/v1/tokens";
/// `token create`.
pub const TOKEN_CREATE: &str = "/v1/tokens/create";
/// `token rm`.
pub const TOKEN_RM: &str = "/v1/tokens/remove";
/// `ca show`.
pub const AUTHORITY: &str = "/v1/authority";
/// `ca rotate`.
pub const AUTHORITY_ROTATE: &str = "/v1/authority/rotate";

/// `system df`.
pub const USAGE: &str = "/v1/room";
/// `system prune`, `image prune`.
pub const PRUNE: &str = "/v1/room/prune";

/// What is answered for as long as something goes on.
pub const LASTING: &[&str] = &[EVENTS, OPEN, CONVERGE, DOWN, ROLLBACK, SYNC, WAIT, PULL];
/// What carries a stack's content.
pub const SUBMITTING: &[&str] = &[PLAN, CONVERGE, RUN, PREVIEW];

/// What an upgraded connection speaks.
pub const PROTOCOL: &str = "keel-frames";
