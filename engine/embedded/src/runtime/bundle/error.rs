//! Why a task has no specification.

/// Why a task has no specification.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// Neither the task nor the image names a program.
    #[error("no command: neither the service nor its image names one")]
    NoCommand,
    /// A mount that would hide the whole image.
    #[error("nothing can be mounted at `/`: it would hide the whole image")]
    Root,
    /// The image has no layers.
    #[error("the image has no layers")]
    NoLayers,
    /// A limit that the kernel does not have.
    #[error("unknown ulimit `{0}`")]
    Ulimit(String),
    /// A kernel parameter that is not the task's alone.
    #[error("sysctl `{0}` belongs to the host: only a task with a network of its own can set it")]
    Sysctl(String),
    /// What is no name of a kernel parameter, or no value of one.
    #[error("sysctl `{0}`: a name is words with dots or slashes between them, a value one line")]
    SysctlText(String),
    /// A security option that nobody knows.
    #[error("unknown security_opt `{0}`")]
    SecurityOption(String),
    /// A profile that is not one.
    #[error("the seccomp profile cannot be read")]
    Profile(#[source] serde_json::Error),
}
