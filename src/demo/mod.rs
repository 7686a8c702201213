//! What a first try talks to, without a NIC, a guest image or rights.
//!
//! [`host`] is a tiny IPv4 host, fed with frames; [`wire`] puts one behind a
//! lower, and [`guest`] puts one behind a vhost-user socket. [`kernel`] asks the
//! kernel's own driver what the demo asks the switch. Nothing of a real switch
//! depends on this module but the device name `demo`.

pub mod guest;
pub mod host;
pub mod kernel;
pub mod wire;
