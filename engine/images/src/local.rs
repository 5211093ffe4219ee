//! Names on this node, the built-in image's among them: that one is made when it is asked for.

use crate::error::{Error, Result};
use crate::hello;
use crate::image::Image;
use crate::platform::Platform;
use crate::store::Store;
use keel_names::Reference;

impl Store {
    /// The image that a name stands for on this node, if all of it is here. A digest is found
    /// whatever name it was pulled by; the built-in image is made when it is asked for.
    pub fn resolve_local(&self, reference: &Reference) -> Result<Option<Image>> {
        if let (true, Some(executable)) = (reference.is_built_in(), self.executable()) {
            return hello::resolve(self, reference, executable).map(Some);
        }
        if let Some(record) = self.record(reference)? {
            return self.load(record.digest, record.manifest);
        }
        match reference.digest() {
            Some(digest) => self.find(digest, &Platform::host()),
            None => Ok(None),
        }
    }

    /// Gives an image another name.
    pub fn tag(&self, reference: &Reference, name: &Reference) -> Result<()> {
        let image = self.resolve_local(reference)?;
        let image = image.ok_or_else(|| Error::NotHere { reference: reference.clone() })?;
        self.commit(name, image.digest, image.manifest)?
            .map(drop)
            .ok_or_else(|| Error::NotHere { reference: reference.clone() })
    }
}
