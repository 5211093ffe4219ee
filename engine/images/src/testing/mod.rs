//! Images and registries for tests, here and end to end. Nothing of this is in the product.
//!
//! ```no_run
//! use keel_images::testing::{TestImage, TestLayer, TestRegistry};
//!
//! let registry = TestRegistry::start();
//! let layer = TestLayer::new().file("etc/motd", "hello\n").gzip();
//! registry.push("demo:latest", &TestImage::new().layer(layer).cmd(["/bin/true"]));
//! let name = registry.name("demo:latest"); // 127.0.0.1:PORT/demo:latest
//! ```

mod image;
mod layer;
mod registry;

pub use image::TestImage;
pub use layer::TestLayer;
pub use registry::{PASSWORD, TestRegistry, USER};
