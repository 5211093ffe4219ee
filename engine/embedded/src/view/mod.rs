//! What exists, maintained: records are read when the kernel tells that they changed, processes are looked at
//! when it tells that one ended. A look at everything that did not change costs three system calls.
//!
//! # Invariants
//! - A look sees every change that was made before it began, by this process or another.
//! - Everything is looked at anew at the start, after changes that were lost, and before fields are read back.

pub(crate) mod docker;
pub(crate) mod events;
mod host;
pub(crate) mod inotify;
mod kept;
mod living;
pub(crate) mod look;
mod looked;
pub(crate) mod read;
mod told;
mod users;
mod values;

pub(crate) use told::Heard;

use crate::images::Images;
use crate::network::stored::Stored;
use crate::task::records::Records;
use crate::volumes::Volume;
use crate::{Layout, root::late};
use host::Host;
use keel_engine::{Observation, Result, TaskId};
use kept::Kept;
use living::Living;
use looked::Looked;
use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use told::{Stale, Told};

/// The view of one root.
pub(crate) struct View {
    layout: Layout,
    images: Arc<Images>,
    told: Told,
    living: Living,
    looked: Looked,
    host: Host,
    hearing: Mutex<Hearing>,
    /// There is something in [`Hearing::heard`].
    woken: Notify,
    /// Locked for as long as records are read; before `hearing`, never after it.
    kept: Mutex<Kept>,
}

/// What was told and is not acted on yet.
struct Hearing {
    stale: Stale,
    heard: Vec<Heard>,
    /// Records were in memory at the last look.
    late: bool,
}

impl View {
    /// Nothing is known yet.
    pub(crate) fn new(layout: &Layout, images: Arc<Images>) -> io::Result<Self> {
        let hearing = Hearing { stale: Stale::everything(), heard: Vec::new(), late: false };
        Ok(Self {
            layout: layout.clone(),
            images,
            told: Told::new(layout)?,
            living: Living::new()?,
            looked: Looked::new(layout),
            host: Host::new(layout),
            hearing: Mutex::new(hearing),
            woken: Notify::new(),
            kept: Mutex::default(),
        })
    }

    /// The next look reads everything again whose files changed, whatever was told.
    pub(crate) fn doubt(&self) {
        self.hearing().stale.add(Stale::everything());
    }

    /// Every task's records, ordered by id.
    pub(crate) fn records(&self) -> Result<Vec<Arc<Records>>> {
        Ok(self.refreshed()?.records())
    }

    /// Every network's record, ordered by name.
    pub(crate) fn networks(&self) -> Result<Vec<Arc<Stored>>> {
        Ok(self.refreshed()?.stored_networks())
    }

    /// Every volume's record, ordered by name.
    pub(crate) fn volumes(&self) -> Result<Vec<Arc<Volume>>> {
        Ok(self.refreshed()?.stored_volumes())
    }

    /// All that exists, but for what only a node knows of itself.
    pub(crate) fn observation(&self) -> Result<Observation> {
        let mut kept = self.refreshed()?;
        if kept.takes_written() | self.images.has_changed() {
            let images = self.images.observed(kept.written())?;
            kept.put_images(images);
        }
        Ok(kept.observation())
    }

    /// Waits for changes that others are to hear of.
    pub(crate) async fn heard(&self) -> io::Result<Vec<Heard>> {
        loop {
            let heard = std::mem::take(&mut self.hearing().heard);
            if !heard.is_empty() {
                return Ok(heard);
            }
            let lost = tokio::select! {
                told = self.told.until() => told?,
                ended = self.living.until() => ended.map(|()| None)?,
                () = self.woken.notified() => None,
            };
            self.hearing().heard.extend(lost);
            self.listen();
        }
    }

    fn hearing(&self) -> MutexGuard<'_, Hearing> {
        self.hearing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what the kernel has to tell, without waiting.
    fn listen(&self) {
        let ended = self.living.ended();
        let (mut stale, heard) = self.told.take();
        stale.host |= self.host.is_told();
        let mut hearing = self.hearing();
        hearing.stale.add(stale);
        hearing.stale.tasks.extend(ended.iter().cloned().chain(self.living.unheld()));
        hearing.heard.extend(heard);
        hearing.heard.extend(ended.into_iter().map(|id| Heard::Task(id, true)));
        if !hearing.heard.is_empty() {
            self.woken.notify_one();
        }
    }

    /// What is to be read now. Held back is nothing: whoever fails with it puts it back.
    fn take_stale(&self) -> (Stale, bool) {
        self.listen();
        let is_late = late::is_any(&self.layout);
        let mut hearing = self.hearing();
        if is_late || std::mem::replace(&mut hearing.late, is_late) {
            // They come and go without a word.
            hearing.stale.all = true;
        }
        (std::mem::take(&mut hearing.stale), is_late)
    }

    fn refreshed(&self) -> Result<MutexGuard<'_, Kept>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (stale, is_late) = self.take_stale();
        if stale.is_empty() {
            return Ok(kept);
        }
        let read = self.read(&mut kept, &stale, is_late);
        kept.settle(&self.layout);
        if let Err(error) = read {
            self.hearing().stale.add(stale);
            return Err(error);
        }
        Ok(kept)
    }

    fn read(&self, kept: &mut Kept, stale: &Stale, is_late: bool) -> Result<()> {
        let Stale { all, tasks, networks, volumes, images, host } = stale;
        let (mut tasks, mut networks, mut volumes) =
            (tasks.clone(), networks.clone(), volumes.clone());
        if *all {
            let (here, known) = (self.looked.names()?, kept.names());
            here.0.iter().for_each(|id| self.told.watch_task(id));
            here.2.iter().for_each(|name| self.told.watch_volume(name));
            tasks.extend(here.0.into_iter().chain(known.0));
            networks.extend(here.1.into_iter().chain(known.1));
            volumes.extend(here.2.into_iter().chain(known.2));
        }
        if *images {
            self.images.forget_stored();
        }
        if *host {
            kept.put_host(self.host.read(&mut |folder| self.told.watch_devices(folder)));
        }
        self.read_tasks(kept, &tasks, is_late)?;
        for name in networks {
            kept.put_network(&name, self.looked.network(&name)?);
        }
        for name in volumes {
            kept.put_volume(&self.layout, &name, self.looked.volume(&name)?);
        }
        Ok(())
    }

    fn read_tasks(&self, kept: &mut Kept, tasks: &BTreeSet<TaskId>, is_late: bool) -> Result<()> {
        for id in tasks {
            let records = self.looked.task(id, is_late)?;
            let alive = self.living.look(id, records.as_deref());
            kept.put_task(&self.layout, id, records.map(|records| (records, alive)), is_late);
        }
        Ok(())
    }
}
