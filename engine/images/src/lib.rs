//! References, registries, blobs and unpacked layers.
