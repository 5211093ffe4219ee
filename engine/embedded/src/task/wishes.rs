//! Takes wishes: puts them on disk, in the order given, and tells whoever makes them come true.

use crate::blocking::{self, failed};
use crate::desk::Desk;
use crate::root::contents;
use crate::task::drivers::Drivers;
use crate::task::processes::nudge;
use crate::task::records::{self, Taken};
use crate::{
    clock,
    network::stored,
    root::{places, record, trees},
    task::surroundings,
    volumes,
};
use keel_engine::{
    Assignment, Content, EngineError, Event, Lease, NetworkSpec, Presence, PullPolicy, Result,
    TaskAssignment, Tree, VolumeSpec,
};
use std::fs;
use std::sync::Arc;

/// Where wishes are taken.
pub(crate) struct Wishes {
    desk: Arc<Desk>,
    drivers: Arc<Drivers>,
}

impl Wishes {
    pub(crate) fn new(desk: Arc<Desk>, drivers: Arc<Drivers>) -> Self {
        Self { desk, drivers }
    }

    /// Takes them all; the first refusal is the answer, and stops none of the others.
    pub(crate) async fn take(&self, lease: Option<&Lease>, wishes: &[Assignment]) -> Result<()> {
        self.desk.must_drive()?;
        let _turn = self.desk.turn_under(lease).await?;
        let mut answer = Ok(());
        for wish in wishes {
            let taken = match wish {
                Assignment::Content(content) => self.take_content(content.clone()).await,
                Assignment::Tree(tree) => self.take_tree(tree.clone()).await,
                Assignment::Image { reference, policy, wanted } => {
                    self.take_image(reference.clone(), *policy, *wanted).await
                }
                Assignment::Network { spec, wanted } => {
                    self.take_network(spec.clone(), *wanted).await
                }
                Assignment::Volume { spec, wanted } => {
                    self.take_volume(spec.clone(), *wanted).await
                }
                Assignment::Task(wish) => self.take_task(wish).await,
            };
            answer = answer.and(taken);
        }
        answer
    }

    async fn take_content(&self, content: Content) -> Result<()> {
        let layout = self.desk.layout.clone();
        blocking::run(move || {
            let path = contents::folder(&layout)?.join(content.digest.hex());
            if path.exists() {
                // Young again: a task that names it is on its way.
                return fs::File::open(&path)?.set_modified(std::time::SystemTime::now());
            }
            record::store_bytes(&path, &content.bytes, 0o600)
        })
        .await
        .map_err(failed("cannot store content"))?;
        self.drivers.wake_waiting();
        Ok(())
    }

    async fn take_tree(&self, tree: Tree) -> Result<()> {
        let layout = self.desk.layout.clone();
        blocking::run(move || trees::take(&layout, &tree)).await?;
        self.drivers.wake_waiting();
        Ok(())
    }

    async fn take_image(
        &self,
        reference: String,
        policy: PullPolicy,
        wanted: Presence,
    ) -> Result<()> {
        if wanted == Presence::Present {
            let images = Arc::clone(&self.desk.images);
            return blocking::run(move || images.wish(&reference, policy)).await;
        }
        let desk = Arc::clone(&self.desk);
        blocking::run(move || {
            let parsed = crate::images::parse(&reference)?;
            let uses = |task: &records::Records| {
                task.wish.spec.image == reference
                    || crate::images::parse(&task.wish.spec.image).is_ok_and(|own| own == parsed)
            };
            let all = desk.view.records()?;
            surroundings::unused(&all, "image", &reference, uses)?;
            let in_use: Vec<_> = all.iter().filter_map(|task| task.work.digest).collect();
            desk.images.remove(&reference, &in_use)
        })
        .await
    }

    async fn take_network(&self, spec: NetworkSpec, wanted: Presence) -> Result<()> {
        let (own, name) = (Arc::clone(&self.desk), spec.name.clone());
        {
            let _turn = self.desk.networks.turn().await;
            blocking::run(move || match wanted {
                Presence::Present => stored::wish(&own.layout, &spec),
                Presence::Absent => {
                    let uses = |task: &records::Records| surroundings::joins(task, &spec.name);
                    surroundings::unused(&own.view.records()?, "network", &spec.name, uses)?;
                    stored::unwish(&own.layout, &spec.name)
                }
            })
            .await?;
        }
        let desk = Arc::clone(&self.desk);
        self.desk.spawn(async move {
            match wanted {
                Presence::Present => surroundings::make_network(desk, name).await,
                Presence::Absent => surroundings::sweep(&desk).await,
            }
        });
        Ok(())
    }

    async fn take_volume(&self, spec: VolumeSpec, wanted: Presence) -> Result<()> {
        let (own, name) = (Arc::clone(&self.desk), spec.name.clone());
        blocking::run(move || match wanted {
            Presence::Present => volumes::ensure(&own.layout, &spec).map(drop),
            Presence::Absent => {
                let uses = |task: &records::Records| surroundings::mounts(task, &spec.name);
                surroundings::unused(&own.view.records()?, "volume", &spec.name, uses)?;
                match volumes::load(&own.layout, &spec.name)? {
                    Some(volume) => {
                        let going = volumes::Volume { absent: true, message: None, ..volume };
                        volumes::store(&own.layout, &going)
                    }
                    None => Ok(()),
                }
            }
        })
        .await?;
        if wanted == Presence::Absent {
            surroundings::sweep(&self.desk).await;
        }
        self.desk.tell(Event::Resource(name));
        Ok(())
    }

    async fn take_task(&self, wish: &TaskAssignment) -> Result<()> {
        let (layout, given) = (self.desk.layout.clone(), wish.clone());
        let taken = {
            let _taking = self.desk.taking.lock().await;
            blocking::run(move || {
                let had = records::load(&layout, &given.id)?;
                let taken = records::take(had.as_ref(), &given)?;
                // Before any of the tasks that come together is made ready: links that are there
                // already are as little to be followed. What cannot be noted now, its start says.
                let _ = places::note(&layout, &given);
                let stored = records::store(&layout, &taken, clock::now());
                // What cannot go may end all the same: nobody may be there to tell its shim later.
                stored.inspect_err(|_| nudge(had.as_ref().and_then(|had| had.state.as_ref())))?;
                Ok::<_, EngineError>(taken)
            })
            .await?
        };
        if taken != Taken::Already {
            self.drivers.wake(&wish.id);
            self.desk.tell(Event::Task(wish.id.clone()));
        }
        Ok(())
    }
}
