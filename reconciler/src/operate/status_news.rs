//! What is new of stacks, for whoever tells it line by line.

use super::ps;
use super::status::Scope;
use crate::ask::{ContainerRow, Refusal, StatusRow};
use crate::controller::Controller;
use crate::rows::PsAsk;
use keel_engine::StackName;
use std::collections::BTreeSet;

/// What is another thing than at the look before.
#[derive(Debug, Clone, Default)]
pub struct StatusNews {
    /// Stacks that were examined again.
    pub stacks: Vec<StatusRow>,
    /// Stacks that are not known any more.
    pub gone: Vec<String>,
    /// All containers of the stacks that were examined again, newest first.
    pub containers: Vec<ContainerRow>,
}

impl Controller {
    /// What is new since the look of this number, which becomes that of the present one: of stacks that this
    /// process changed or was told of; after a `complete` look also of those that others or time may have
    /// changed. These stacks are told of in any case.
    pub async fn status_news(
        &self,
        look: &mut u64,
        complete: bool,
        always: &BTreeSet<String>,
    ) -> Result<StatusNews, Refusal> {
        let scope = if complete { Scope::Complete } else { Scope::Told };
        let all = self.examine_all(scope).await?;
        let mut names: BTreeSet<&StackName> = all.since(*look).collect();
        names.extend(all.names().filter(|name| always.contains(name.as_str())));
        let stacks = names.iter().filter_map(|name| all.get(name)).map(|one| one.row.clone());
        let stacks = stacks.collect();
        let gone: Vec<_> = all.gone_since(*look).map(ToString::to_string).collect();
        *look = all.looks();
        let ask =
            PsAsk { all: true, stacks: names.into_iter().cloned().collect(), ..PsAsk::default() };
        let containers = match all.last().filter(|_| !ask.stacks.is_empty()) {
            Some(last) => ps::rows(&last.nodes, &ask, self.now()),
            None => vec![],
        };
        Ok(StatusNews { stacks, gone, containers })
    }
}
