//! Whether a node's machine has what a service asks of it: judged before a task is sent there, by what the node
//! reports. What it does not report is not judged here: the node itself finds out when the task starts.

use crate::desired::locate;
use crate::facts::{Facts, Want};
use crate::why::{Hold, MachineLack};
use keel_engine::fields::{FIELDS, Field, FieldRow, Readback, Reader};
use keel_engine::{FieldPath, HostFacts, Limit, TaskSpec, limits_of};

/// What the machine lacks for a new task.
pub(crate) fn lack(facts: &Facts<'_>, want: &Want<'_>) -> Option<Hold> {
    lack_beyond(facts, want, &TaskSpec::default())
}

/// What the machine lacks for a task that has this much already.
pub(crate) fn lack_beyond(facts: &Facts<'_>, want: &Want<'_>, has: &TaskSpec) -> Option<Hold> {
    let host = &facts.inputs.nodes.known(want.node)?.host;
    let (what, path) = device(host, &want.spec, has).or_else(|| limit(host, &want.spec, has))?;
    let at = locate(&want.service.origins, path).cloned();
    let (node, service) = (want.node.clone(), want.name.to_owned());
    Some(Hold::Lacking { node, service, what, at })
}

fn device(host: &HostFacts, spec: &TaskSpec, has: &TaskSpec) -> Option<(MachineLack, FieldPath)> {
    let mut devices = spec.devices.iter().enumerate();
    let (index, device) = devices.find(|(_, device)| {
        !has.devices.contains(device) && host.has_device(&device.source) == Some(false)
    })?;
    let what = MachineLack::Device { path: device.source.clone() };
    Some((what, FieldPath::Item(Field::Devices, index)))
}

fn limit(host: &HostFacts, spec: &TaskSpec, has: &TaskSpec) -> Option<(MachineLack, FieldPath)> {
    let mut limits = limits_of(spec).into_keys();
    let limit =
        limits.find(|limit| limit.of(has).is_none() && host.can_limit(*limit) == Some(false))?;
    Some((MachineLack::Limit { limit }, FieldPath::Row(field_of(limit)?)))
}

fn field_of(limit: Limit) -> Option<Field> {
    let reads = |row: &&FieldRow| row.readback == Readback::Kernel(Reader::Limit(limit));
    FIELDS.iter().find(reads).map(|row| row.field)
}
