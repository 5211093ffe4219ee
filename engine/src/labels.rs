//! The labels by which a thing's stack and service are known: those of docker compose, which its
//! tools read as well, and our own.

/// A container's, network's or volume's stack.
pub const PROJECT: &str = "com.docker.compose.project";
/// A container's service.
pub const SERVICE: &str = "com.docker.compose.service";
/// Which of its service's containers it is.
pub const NUMBER: &str = "com.docker.compose.container-number";
/// Whether a container was started beside the service: `True` or `False`.
pub const ONE_OFF: &str = "com.docker.compose.oneoff";
/// The folder of the Compose file.
pub const WORKING_DIR: &str = "com.docker.compose.project.working_dir";
/// A volume's key in the Compose file.
pub const VOLUME: &str = "com.docker.compose.volume";
/// A network's key in the Compose file.
pub const NETWORK: &str = "com.docker.compose.network";
/// A thing's stack, in our own word.
pub const KEEL_STACK: &str = "keel.stack";
/// Who made a volume: a source, by name, or somebody at the command line.
pub const KEEL_OWNER: &str = "keel.owner";
/// A container's service, in our own word.
pub const KEEL_SERVICE: &str = "keel.service";
