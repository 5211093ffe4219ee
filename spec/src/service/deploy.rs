//! How many replicas, how they are replaced, and what happens when their process ends.

use crate::code::Code;
use crate::decode::Field;

/// `deploy`, and `scale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deploy {
    /// How many are asked for.
    pub replicas: u32,
    /// `update_config.order`; absent: decided by what the service is.
    pub order: Option<UpdateOrder>,
}

impl Default for Deploy {
    fn default() -> Self {
        Self { replicas: 1, order: None }
    }
}

/// Which of two tasks of a slot goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateOrder {
    /// The new one starts before the old one stops.
    StartFirst,
    /// The old one stops before the new one starts.
    StopFirst,
}

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
        let below = |key: &str| deploy.as_ref().and_then(|deploy| deploy.get(key));
        if let Some(mode) = below("mode") {
            hold_other_modes(&mode);
        }
        let order = below("update_config").and_then(|update| update.get("order"));
        let orders =
            [("start-first", UpdateOrder::StartFirst), ("stop-first", UpdateOrder::StopFirst)];
        Self {
            replicas: replicas(service, below("replicas")).unwrap_or(1),
            order: order.and_then(|field| field.choice(&orders)),
        }
    }
}

fn hold_other_modes(mode: &Field<'_>) {
    let modes = [
        ("replicated", None),
        ("global", Some("one task on every node needs a pool")),
        ("replicated-job", Some("jobs of a pool are not run")),
        ("global-job", Some("jobs of a pool are not run")),
    ];
    if let Some(Some(why)) = mode.choice(&modes) {
        mode.hold(why);
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
        policy.and_then(|policy| Self::deployed(service, &policy)).or(own).unwrap_or_default()
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
