//! The Linux macvlan driver's rules, without DPDK, threads or I/O.
//!
//! This crate owns what a macvlan *is*: addresses ([`mac`]), the immutable MAC
//! table and the verdicts that the workers read ([`fib`]), the reasons a frame
//! can be dropped for ([`mod@drop`]), and the compile step that turns modes and
//! admin states into that table ([`rules`]). Anyone may call it; it never
//! allocates on the lookup path, never blocks and knows no port, queue or
//! mbuf: a link is a small number here, a frame is its [`fib::Head`].
#![deny(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod drop;
pub mod fib;
pub mod mac;
pub mod mode;
pub mod rules;
mod simd;
