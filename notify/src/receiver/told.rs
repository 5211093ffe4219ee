//! What a receiver is, and what is known of one.

use crate::message::Message;
use crate::request::Request;

/// A kind of receiver.
pub struct Receiver {
    /// Its key in the configuration.
    pub name: &'static str,
    /// How it is told.
    pub request: fn(&Message, &Target) -> Request,
}

/// Where one of them is, and how it knows us.
#[derive(Clone, Default)]
pub struct Target {
    /// Where.
    pub url: String,
    /// Goes along as a bearer token.
    pub token: Option<String>,
    /// The body is signed with it.
    pub secret: Option<Vec<u8>>,
}
