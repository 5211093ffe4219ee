//! How many replicas, and what happens when their process ends.

use crate::code::Code;
use crate::decode::Field;
use crate::service::rollout::RolloutConfig;

/// `deploy`, and `scale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deploy {
    /// `mode`: which slots there are, and whether their tasks end.
    pub mode: Mode,
    /// How many are asked for.
    pub replicas: u32,
    /// `update_config`: how tasks are replaced.
    pub update: RolloutConfig,
    /// `rollback_config`: how what was good before comes back.
    pub rollback: RolloutConfig,
}

impl Default for Deploy {
    fn default() -> Self {
        let (update, rollback) = (RolloutConfig::default(), RolloutConfig::default());
        Self { mode: Mode::Replicated, replicas: 1, update, rollback }
    }
}

/// Which slots a service has, and whether their tasks end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// As many as its replicas.
    #[default]
    Replicated,
    /// One on every node.
    Global,
    /// As many as its replicas; each runs until it ends well, once.
    ReplicatedJob,
    /// One on every node; each runs until it ends well, once.
    GlobalJob,
}

impl Mode {
    /// Whether there is one slot for each node.
    #[must_use]
    pub fn is_global(self) -> bool {
        matches!(self, Self::Global | Self::GlobalJob)
    }

    /// Whether its tasks end.
    #[must_use]
    pub fn is_job(self) -> bool {
        matches!(self, Self::ReplicatedJob | Self::GlobalJob)
    }

    /// As Compose writes it.
    #[must_use]
    pub fn word(self) -> &'static str {
        MODES.iter().find(|(_, mode)| *mode == self).map_or("", |(word, _)| word)
    }

    /// Reads `deploy.mode`.
    fn decode(service: &Field<'_>) -> Self {
        let mode = service.get("deploy").and_then(|deploy| deploy.get("mode"));
        mode.and_then(|mode| mode.choice(MODES)).unwrap_or_default()
    }
}

const MODES: &[(&str, Mode)] = &[
    ("replicated", Mode::Replicated),
    ("global", Mode::Global),
    ("replicated-job", Mode::ReplicatedJob),
    ("global-job", Mode::GlobalJob),
];

/// The restart policy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Restart {
    /// Never.
    #[default]
    No,
    /// Whatever the exit code.
    Always,
    /// After an exit code other than 0.
    OnFailure {
        /// How many times; absent: without end.
        max: Option<u32>,
    },
    /// Whatever the exit code, unless a person stopped it.
    UnlessStopped,
}

impl Deploy {
    /// Reads `deploy` and `scale`.
    pub(crate) fn decode(service: &Field<'_>) -> Self {
        let deploy = service.get("deploy");
        let deployed = deploy.as_ref().and_then(|deploy| deploy.get("replicas"));
        Self {
            mode: Mode::decode(service),
            replicas: replicas(service, deployed).unwrap_or(1),
            update: RolloutConfig::update(deploy.as_ref()),
            rollback: RolloutConfig::rollback(deploy.as_ref()),
        }
    }
}

fn replicas(service: &Field<'_>, deployed: Option<Field<'_>>) -> Option<u32> {
    let scale = service.get("scale");
    let field = deployed.as_ref().or(scale.as_ref())?;
    let number = field.whole()?;
    service.scope.origin("deploy.replicas", field.place());
    if let (Some(_), Some(scale)) = (&deployed, &scale)
        && scale.whole::<u32>()? != number
    {
        scale.refuse(
            Code::Conflict,
            format!("{} and `deploy.replicas` say different things", scale.name()),
        );
    }
    Some(number)
}

impl Restart {
    /// Reads `deploy.restart_policy`, or `restart`.
    pub(crate) fn decode(service: &Field<'_>) -> Self {
        let own = service.get("restart").and_then(|field| Self::own(&field));
        let policy = service.get("deploy").and_then(|deploy| deploy.get("restart_policy"));
        let written = policy.and_then(|policy| Self::deployed(service, &policy)).or(own);
        match (Mode::decode(&service.clone().unmarked()).is_job(), written) {
            // What has ended well is done: "always" means until then.
            (true, None | Some(Self::Always | Self::UnlessStopped)) => {
                Self::OnFailure { max: None }
            }
            (_, written) => written.unwrap_or_default(),
        }
    }

    fn own(field: &Field<'_>) -> Option<Self> {
        let wanted = "`no`, `always`, `on-failure[:TIMES]` or `unless-stopped`";
        field.parsed(wanted, |text| match text {
            "no" | "false" | "" => Some(Self::No),
            "always" => Some(Self::Always),
            "unless-stopped" => Some(Self::UnlessStopped),
            "on-failure" => Some(Self::OnFailure { max: None }),
            text => {
                let max = text.strip_prefix("on-failure:")?.parse::<u32>().ok()?;
                Some(Self::OnFailure { max: Some(max).filter(|max| *max > 0) })
            }
        })
    }

    fn deployed(service: &Field<'_>, policy: &Field<'_>) -> Option<Self> {
        let conditions = [
            ("any", Self::Always),
            ("always", Self::Always),
            ("unless-stopped", Self::UnlessStopped),
            ("none", Self::No),
            ("no", Self::No),
            ("on-failure", Self::OnFailure { max: None }),
        ];
        let condition = policy.get("condition");
        let max = policy.get("max_attempts").and_then(|field| field.whole());
        service.scope.origin("restart", condition.as_ref().unwrap_or(policy).place());
        Some(match condition.map_or(Some(Self::Always), |field| field.choice(&conditions))? {
            Self::OnFailure { .. } => Self::OnFailure { max },
            other => other,
        })
    }
}
