//! What a first try talks to, without a NIC, a guest image or rights.
//!
//! [`host`] is a tiny IPv4 host, fed with frames; [`wire`] puts one behind a
//! lower, and [`guest`] puts one behind a vhost-user socket. Nothing of a real
//! switch depends on this module but the device name `demo`.

pub mod guest;
pub mod host;
pub mod wire;
