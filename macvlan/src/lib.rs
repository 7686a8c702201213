//! The Linux macvlan driver's rules, without DPDK, threads or I/O.
//!
//! This crate owns what a macvlan *is*: the state of lowers and links with the
//! operations on them ([`driver`], asked by [`request`], refused with [`errno`]),
//! the events of lowers ([`notifier`]), the compile step that turns modes,
//! filters and admin states into tables ([`rules`]), the immutable MAC table and
//! the verdicts that the workers read ([`fib`]), and the reasons a frame can be
//! dropped for ([`mod@drop`]). Anyone may call it; it never allocates on the
//! lookup path, never blocks and knows no port, queue or mbuf: a link is a small
//! number here, a frame is its [`fib::Head`].
#![deny(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod driver;
pub mod drop;
pub mod errno;
pub mod explain;
pub mod fib;
pub mod mac;
pub mod mode;
pub mod notifier;
pub mod request;
pub mod rules;
mod simd;
