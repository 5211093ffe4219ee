//! Takes wishes: puts them on disk, in the order given, and tells whoever makes them come true.

use crate::blocking::{self, failed};
use crate::core::Core;
use crate::task::records::{self, Taken};
use crate::task::work::nudge;
use crate::{
    clock,
    network::stored,
    root::{places, record, trees},
    task::removal,
    volumes,
};
use keel_engine::{
    Assignment, Content, EngineError, Event, Lease, NetworkSpec, Presence, PullPolicy, Result,
    TaskAssignment, Tree, VolumeSpec,
};
use std::fs;
use std::sync::Arc;

impl Core {
    /// Takes them all; the first refusal is the answer, and stops none of the others.
    pub(crate) async fn take(
        self: &Arc<Self>,
        lease: Option<&Lease>,
        wishes: &[Assignment],
    ) -> Result<()> {
        self.must_drive()?;
        let _turn = self.turn_under(lease).await?;
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

    /// Whoever only looks changes nothing.
    pub(crate) fn must_drive(&self) -> Result<()> {
        if self.options.drive {
            return Ok(());
        }
        Err(EngineError::Conflict {
            what: format!("{} is driven by another keel", self.layout.root().display()),
            hint: None,
        })
    }

    async fn take_content(&self, content: Content) -> Result<()> {
        let folder = self.layout.secrets();
        let path = folder.join(content.digest.hex());
        blocking::run(move || {
            if !folder.is_dir() {
                keel_durable::make_folder(&folder, 0o700)?;
            }
            if path.exists() {
                // Young again: a task that names it is on its way.
                return fs::File::open(&path)?.set_modified(std::time::SystemTime::now());
            }
            record::store_bytes(&path, &content.bytes, 0o600)
        })
        .await
        .map_err(failed("cannot store content"))?;
        self.wake_waiting();
        Ok(())
    }

    async fn take_tree(&self, tree: Tree) -> Result<()> {
        let layout = self.layout.clone();
        blocking::run(move || trees::take(&layout, &tree)).await?;
        self.wake_waiting();
        Ok(())
    }

    async fn take_image(
        self: &Arc<Self>,
        reference: String,
        policy: PullPolicy,
        wanted: Presence,
    ) -> Result<()> {
        if wanted == Presence::Present {
            let images = Arc::clone(&self.images);
            return blocking::run(move || images.wish(&reference, policy)).await;
        }
        let core = Arc::clone(self);
        blocking::run(move || {
            let parsed = crate::images::parse(&reference)?;
            let uses = |task: &records::Records| {
                task.wish.spec.image == reference
                    || crate::images::parse(&task.wish.spec.image).is_ok_and(|own| own == parsed)
            };
            let all = core.view.records()?;
            removal::unused(&all, "image", &reference, uses)?;
            let in_use: Vec<_> = all.iter().filter_map(|task| task.work.digest).collect();
            core.images.remove(&reference, &in_use)
        })
        .await
    }

    async fn take_network(self: &Arc<Self>, spec: NetworkSpec, wanted: Presence) -> Result<()> {
        let (own, name) = (Arc::clone(self), spec.name.clone());
        {
            let _turn = self.networks.turn().await;
            blocking::run(move || match wanted {
                Presence::Present => stored::wish(&own.layout, &spec),
                Presence::Absent => {
                    let uses = |task: &records::Records| removal::joins(task, &spec.name);
                    removal::unused(&own.view.records()?, "network", &spec.name, uses)?;
                    stored::unwish(&own.layout, &spec.name)
                }
            })
            .await?;
        }
        let core = Arc::clone(self);
        self.spawn(async move {
            match wanted {
                Presence::Present => core.make_network(name).await,
                Presence::Absent => core.sweep().await,
            }
        });
        Ok(())
    }

    /// Makes a network. What goes wrong stands in its record, and is tried again by the tasks
    /// that join it.
    pub(crate) async fn make_network(self: Arc<Self>, name: String) {
        let Ok(_at_root) = self.turn_at_root().await else { return };
        let _turn = self.networks.turn().await;
        let (core, own) = (Arc::clone(&self), name.clone());
        let make = move || stored::make(&core.layout, &own, &core.view.networks()?);
        // What goes wrong stands in its record.
        let _ = blocking::run(make).await;
        let _ = self.events.send(Event::Resource(name));
    }

    async fn take_volume(self: &Arc<Self>, spec: VolumeSpec, wanted: Presence) -> Result<()> {
        let (own, name) = (Arc::clone(self), spec.name.clone());
        blocking::run(move || match wanted {
            Presence::Present => volumes::ensure(&own.layout, &spec).map(drop),
            Presence::Absent => {
                let uses = |task: &records::Records| removal::mounts(task, &spec.name);
                removal::unused(&own.view.records()?, "volume", &spec.name, uses)?;
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
            self.sweep().await;
        }
        // Nobody may listen.
        let _ = self.events.send(Event::Resource(name));
        Ok(())
    }

    async fn take_task(self: &Arc<Self>, wish: &TaskAssignment) -> Result<()> {
        let (layout, given) = (self.layout.clone(), wish.clone());
        let taken = {
            let _taking = self.taking.lock().await;
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
            self.wake(&wish.id);
            // Nobody may listen.
            let _ = self.events.send(Event::Task(wish.id.clone()));
        }
        Ok(())
    }
}
