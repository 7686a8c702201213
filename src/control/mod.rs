//! The control plane: one thread owns the truth.
//!
//! Owns the registry of lowers and links, the ports' life cycle and the
//! publication of plans. Everybody else talks to it through [`Handle`]; vhost
//! callbacks post that a port changed. It never waits for a worker, a guest or
//! a client: what must outlive a plan that a worker still reads stays on the
//! retiring list until the worker has moved on.

mod announce;
mod commit;
mod compile;
mod events;
mod filters;
mod holders;
mod interface;
mod inventory;
mod link_ops;
mod load;
mod lower_ops;
mod memory;
mod monitor;
mod ports;
mod program;
mod publish;
mod registry;
mod reload;
mod report;
mod requests;
mod show;
mod sockets;
mod switch;
mod transaction;

use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender};
use macvlan::driver::{Event, Index};
use mvctl::proto::{Request, RpcError};
use tokio::sync::oneshot;

pub use inventory::{Inventory, InventoryHandle, PortKind, PortView, WorkerView};
pub use memory::Profile;
pub use monitor::Monitor;
pub use requests::Answer;
pub use sockets::clear_stale;
pub use switch::{StartError, Summary, Switch};

use crate::config::Config;
use load::Loads;
use monitor::Monitors;
use ports::Opener;
use publish::Publisher;
use registry::Registry;
use reload::OwnFile;
use report::Baseline;
use requests::Pending;

/// How often carrier is looked at.
const CARRIER: Duration = Duration::from_millis(200);

/// How often the retiring list is looked at while there is one.
const RETIRE: Duration = Duration::from_millis(1);

/// How long an answer waits for a socket or device that is still closing.
const DEFERRED: Duration = Duration::from_secs(2);

type Outcome<T> = Result<T, RpcError>;

/// Who gets an answer.
enum Reply {
    /// A client.
    Client(oneshot::Sender<Outcome<Answer>>),
    /// Nobody asked but a signal.
    Log,
}

impl Reply {
    fn give(self, answer: Outcome<Answer>) {
        match (self, answer) {
            // It may have gone.
            (Self::Client(client), answer) => _ = client.send(answer),
            (Self::Log, Ok(_)) => tracing::info!("the config was read again and applied"),
            (Self::Log, Err(error)) => {
                tracing::error!(
                    "the config was not applied, nothing is changed: {}",
                    error.message
                );
            }
        }
    }
}

/// What the control thread is told.
enum Message {
    Request(Box<Request>, Reply),
    /// The connection or a queue of this link's port changed.
    PortChanged(Index),
    /// Something happened to the device of a lower.
    DeviceChanged,
    /// Somebody wants to hear of changes.
    Monitor(Monitor, Reply),
    /// Read the config file again.
    Reload,
    Stop,
}

/// Talks to the control thread. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle(Sender<Message>);

impl Handle {
    /// Carries out a request and returns its result.
    ///
    /// # Errors
    /// What the operation was refused for; the state is then unchanged.
    pub async fn call(&self, request: Request) -> Outcome<Answer> {
        let (reply, answer) = oneshot::channel();
        let gone = |_| RpcError::eio("the switch is stopping");
        let message = Message::Request(Box::new(request), Reply::Client(reply));
        self.0.send(message).map_err(|_| gone(()))?;
        answer.await.map_err(|_| gone(()))?
    }

    /// Hears of every change from now on, as lines for a client; the answer is
    /// given before the first of them.
    ///
    /// # Errors
    /// There are too many already, or the switch is stopping.
    pub async fn monitor(&self, monitor: Monitor) -> Outcome<Answer> {
        let (reply, answer) = oneshot::channel();
        let gone = |_| RpcError::eio("the switch is stopping");
        let message = Message::Monitor(monitor, Reply::Client(reply));
        self.0.send(message).map_err(|_| gone(()))?;
        answer.await.map_err(|_| gone(()))?
    }

    /// Reads the config file again and makes it the state; the log says what
    /// came of it.
    pub fn reload(&self) {
        // The switch may be stopping.
        _ = self.0.send(Message::Reload);
    }

    /// Ends the control loop.
    pub fn stop(&self) {
        // The loop may have ended already.
        _ = self.0.send(Message::Stop);
    }
}

/// The control thread's state.
struct Control {
    /// What it was started with, or has been told to become since.
    config: Config,
    file: OwnFile,
    started: Instant,
    registry: Registry,
    publisher: Publisher,
    opener: Opener,
    messages: Receiver<Message>,
    pending: Vec<Pending>,
    monitors: Monitors,
    baseline: Baseline,
    loads: Loads,
    stopping: bool,
}

impl Control {
    /// Serves messages until told to stop.
    fn run(&mut self) {
        let mut next_carrier = Instant::now();
        loop {
            let waiting = self.publisher.is_retiring() || !self.pending.is_empty();
            let limit = if waiting { RETIRE } else { CARRIER };
            match self.messages.recv_timeout(limit) {
                Ok(Message::Request(request, reply)) => {
                    self.serve(Pending::new(request, reply, Instant::now() + DEFERRED));
                }
                Ok(Message::Monitor(monitor, reply)) => self.add_monitor(monitor, reply),
                Ok(Message::Reload) => self.reload(),
                Ok(Message::PortChanged(link)) => self.port_changed(link),
                Ok(Message::DeviceChanged) => next_carrier = Instant::now(),
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.publisher.retire();
            self.end_moves();
            for pending in std::mem::take(&mut self.pending) {
                self.serve(pending);
            }
            if self.stopping {
                return;
            }
            if Instant::now() >= next_carrier {
                next_carrier = Instant::now() + CARRIER;
                self.look_at_devices();
                self.look_at_loads();
            }
        }
    }

    fn port_changed(&mut self, index: Index) {
        let Some(link) = self.registry.links.get_mut(&index) else { return };
        // In this order: what changes after the look is told by another message.
        let changed = link.follow_guest(self.publisher.workers());
        let connected = link.has_guest();
        let returned = link.connections() > 1;
        if changed {
            self.tell(index, Event::Peer { connected, returned });
            self.tell_of_guest(index);
        }
        self.registry.refresh_inventory(self.publisher.workers());
    }
}
