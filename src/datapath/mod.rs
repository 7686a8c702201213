//! The data path: plans and the workers that execute them.
//!
//! Owns the poll loop and everything it reads ([`Plan`]) or writes (counters).
//! Control builds plans and starts workers; nobody else calls in. The loop
//! neither allocates, logs, locks nor panics, knows no mode, and makes no system
//! call but the idle policy's and the kick that a sleeping guest asked for.
//!
//! A turn: `batch` holds frames where they lie with their heads, the plan's MAC
//! table gives each a verdict, `stage` groups them by output, and `deliver`
//! hands each group over at once. Nothing outlives a turn.

mod active;
mod batch;
mod broadcast;
mod counters;
mod deliver;
mod forward;
mod idle;
mod outgoing;
mod plan;
mod port;
mod stage;
mod wake;
mod worker;

pub use broadcast::{BroadcastQueue, QueueRoom};
pub use counters::{PortStats, Totals, WorkerStats, WorkerTotals};
pub use idle::{IdlePolicy, Waker};
pub use plan::{Endpoint, Plan, Poll, Segment, Vlan};
pub use port::{Device, Port, VlanDevice};
pub use stage::{Stage, Staged};
pub use wake::WakeThread;
pub use worker::{Shared, Worker, WorkerError, WorkerOptions};
