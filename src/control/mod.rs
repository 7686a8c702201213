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
mod filters;
mod interface;
mod inventory;
mod link_ops;
mod lower_ops;
mod memory;
mod ports;
mod program;
mod publish;
mod registry;
mod show;
mod sockets;
mod switch;

use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender};
use macvlan::driver::{Event, Index};
use mvctl::proto::{Request, RpcError};
use serde_json::Value;
use tokio::sync::oneshot;

pub use inventory::{Inventory, InventoryHandle, PortKind, PortView, WorkerView};
pub use memory::Profile;
pub use sockets::clear_stale;
pub use switch::{StartError, Summary, Switch};

use link_ops::Answer;
use ports::Opener;
use publish::Publisher;
use registry::Registry;

/// How often carrier is looked at.
const CARRIER: Duration = Duration::from_millis(200);

/// How often the retiring list is looked at while there is one.
const RETIRE: Duration = Duration::from_millis(1);

/// How long an answer waits for a socket or device that is still closing.
const DEFERRED: Duration = Duration::from_secs(2);

type Outcome<T> = Result<T, RpcError>;
type Reply = oneshot::Sender<Outcome<Value>>;

/// What the control thread is told.
enum Message {
    Request(Box<Request>, Reply),
    /// The connection or a queue of this link's port changed.
    PortChanged(Index),
    /// Something happened to the device of a lower.
    DeviceChanged,
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
    pub async fn call(&self, request: Request) -> Outcome<Value> {
        let (reply, answer) = oneshot::channel();
        let gone = |_| RpcError::eio("the switch is stopping");
        self.0.send(Message::Request(Box::new(request), reply)).map_err(|_| gone(()))?;
        answer.await.map_err(|_| gone(()))?
    }

    /// Ends the control loop.
    pub fn stop(&self) {
        // The loop may have ended already.
        _ = self.0.send(Message::Stop);
    }
}

/// What an answer waits for while control goes on.
enum Wait {
    /// The request's socket or device, which is being closed for a predecessor.
    ToTry(Box<Request>),
    /// The end of a port that was removed: then its socket is gone.
    ForEnd { resource: String, result: Value },
}

/// A request that cannot be answered yet.
struct Deferred {
    wait: Wait,
    reply: Reply,
    until: Instant,
}

/// The control thread's state.
struct Control {
    /// The switch's name, from which addresses are derived.
    switch: String,
    registry: Registry,
    publisher: Publisher,
    opener: Opener,
    messages: Receiver<Message>,
    deferred: Vec<Deferred>,
}

impl Control {
    /// Serves messages until told to stop.
    fn run(&mut self) {
        let mut next_carrier = Instant::now();
        loop {
            let waiting = self.publisher.is_retiring() || !self.deferred.is_empty();
            let limit = if waiting { RETIRE } else { CARRIER };
            match self.messages.recv_timeout(limit) {
                Ok(Message::Request(request, reply)) => {
                    let until = Instant::now() + DEFERRED;
                    self.serve(Deferred { wait: Wait::ToTry(request), reply, until });
                }
                Ok(Message::PortChanged(link)) => self.port_changed(link),
                Ok(Message::DeviceChanged) => next_carrier = Instant::now(),
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.publisher.retire();
            for deferred in std::mem::take(&mut self.deferred) {
                self.serve(deferred);
            }
            if Instant::now() >= next_carrier {
                next_carrier = Instant::now() + CARRIER;
                self.look_at_devices();
            }
        }
    }

    /// Answers, or defers the answer.
    fn serve(&mut self, Deferred { wait, reply, until }: Deferred) {
        let patient = Instant::now() < until;
        let answer = match wait {
            Wait::ToTry(request) => match self.carry_out(&request) {
                Ok(Answer::Now(result)) => Ok(result),
                Ok(Answer::AfterEnd { resource, result }) => {
                    self.deferred.push(Deferred {
                        wait: Wait::ForEnd { resource, result },
                        reply,
                        until,
                    });
                    return;
                }
                Ok(Answer::TryAgain(_)) if patient => {
                    self.deferred.push(Deferred { wait: Wait::ToTry(request), reply, until });
                    return;
                }
                Ok(Answer::TryAgain(error)) | Err(error) => Err(error),
            },
            Wait::ForEnd { resource, result }
                if patient && self.publisher.is_closing(&resource) =>
            {
                self.deferred.push(Deferred {
                    wait: Wait::ForEnd { resource, result },
                    reply,
                    until,
                });
                return;
            }
            // Done in any case: a worker that stalls only delays the clean-up.
            Wait::ForEnd { result, .. } => Ok(result),
        };
        // The client may have gone.
        _ = reply.send(answer);
    }

    fn port_changed(&mut self, index: Index) {
        let Some(link) = self.registry.links.get_mut(&index) else { return };
        // In this order: what changes after the look is told by another message.
        let changed = link.follow_guest(self.publisher.workers());
        let connected = link.port.carrier();
        let returned = link.connections() > 1;
        if changed {
            self.tell(index, Event::Peer { connected, returned });
        }
        self.registry.refresh_inventory(self.publisher.workers());
    }
}
