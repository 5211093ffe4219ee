//! A controller whose pool is locked: the key of its certificate authority is sealed with a file that is not there.
//! Nothing is decided until the file is; what runs keeps running, by its restart policies.

use crate::context::Context;
use crate::ending::until_told;
use crate::failure::{Failure, Result};
use crate::machine::keyring;
use crate::pool_records::{AUTHORITY, StoredRecord};
use crate::root;
use keel_api::Served;
use keel_embedded::Layout;
use keel_pool::identity::{AuthorityError, check_unlocked};
use keel_pool::transport::Relaying;
use keel_reconciler::ask::{Refusal, RefusalKind};
use keel_reconciler::config::Config;
use keel_reconciler::store::Store;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The file is on a medium that is mounted later, mostly, and no event tells of that.
const AGAIN: Duration = Duration::from_secs(2);
/// How long requests may take once it is unlocked.
const FAREWELL: Duration = Duration::from_secs(1);

/// Waits until the pool's authority can be opened; `false`: the controller is to end.
pub async fn until_unlocked(
    store: Arc<dyn Store>,
    config: &Config,
    layout: &Layout,
    context: &Context,
) -> Result<bool> {
    if config.listen.agents.is_none() {
        return Ok(true);
    }
    let (record, keys) = (StoredRecord { store, key: AUTHORITY }, keyring(config, layout));
    let mut locked: Option<Locked> = None;
    let mut ended = std::pin::pin!(until_told());
    loop {
        // Whatever else is wrong is said where the pool is opened.
        let Err(AuthorityError::Locked(why)) = check_unlocked(&record, &keys).await else { break };
        match &locked {
            Some(locked) => locked.note(&why.to_string(), context),
            None => locked = Some(Locked::begin(&why.to_string(), layout, context).await?),
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            ended = &mut ended => {
                ended?;
                return Ok(false);
            }
        }
    }
    if let Some(locked) = locked {
        locked.served.stop(FAREWELL).await;
        context.screen.tell("the pool is unlocked");
    }
    Ok(true)
}

/// Whether it can be opened now; where nobody can tell, that is found out where the pool is opened.
pub async fn is_unlocked(store: Arc<dyn Store>, config: &Config, layout: &Layout) -> bool {
    let record = StoredRecord { store, key: AUTHORITY };
    let checked = check_unlocked(&record, &keyring(config, layout)).await;
    config.listen.agents.is_none() || !matches!(checked, Err(AuthorityError::Locked(_)))
}

/// What people are told meanwhile, here and by every command.
struct Locked {
    why: Arc<Mutex<String>>,
    served: Served,
}

impl Locked {
    async fn begin(why: &str, layout: &Layout, context: &Context) -> Result<Self> {
        let group = root::group();
        root::admit(layout, group)
            .map_err(|error| Failure::caused("cannot give group keel access", &error))?;
        context.screen.warn(&told(why));
        let why = Arc::new(Mutex::new(why.to_owned()));
        let asked = why.clone();
        let refuse = move || {
            let why = asked.lock().unwrap_or_else(PoisonError::into_inner).clone();
            async move { Err::<Relaying, _>(refusal(&why)) }
        };
        let served = Served::relaying(refuse, &layout.socket(), group).await?;
        Ok(Self { why, served })
    }

    /// Another reason is worth another line.
    fn note(&self, why: &str, context: &Context) {
        let mut before = self.why.lock().unwrap_or_else(PoisonError::into_inner);
        if *before != why {
            context.screen.warn(&told(why));
            why.clone_into(&mut before);
        }
    }
}

fn told(why: &str) -> String {
    format!("the pool is locked: {why}. Until then nothing is decided, and what runs keeps running")
}

fn refusal(why: &str) -> Refusal {
    Refusal { kind: RefusalKind::NeedsDaemon, message: told(why), hint: None }
}
