//! JSON-RPC 2.0 on the control socket, one object per line: who is served.
//!
//! Bounded in what clients decide together: how many there are. Whoever comes
//! when all places are taken gets that of the one who has been silent longest.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mvctl::proto::{Access, Request, RpcError};
use serde_json::Value;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::access::Rights;
use super::client::{self, WRITE};
use crate::control::{Answer, Handle, Monitor};

/// Clients at one time.
pub(super) const CLIENTS: usize = 64;

/// A further one waits so long for a place and is then turned away, well before
/// it loses patience itself.
const PLACE: Duration = Duration::from_secs(1);

/// What requests are carried out by.
pub(super) trait Service: Clone + Send + Sync + 'static {
    /// Carries out a request.
    fn call(&self, request: Request) -> impl Future<Output = Result<Answer, RpcError>> + Send;

    /// Lets `monitor` hear of changes.
    fn monitor(&self, monitor: Monitor) -> impl Future<Output = Result<Answer, RpcError>> + Send;
}

impl Service for Handle {
    fn call(&self, request: Request) -> impl Future<Output = Result<Answer, RpcError>> + Send {
        Self::call(self, request)
    }

    fn monitor(&self, monitor: Monitor) -> impl Future<Output = Result<Answer, RpcError>> + Send {
        Self::monitor(self, monitor)
    }
}

/// Those who are served, each with the moment since which nothing was heard of
/// it, and what ends it.
#[derive(Clone, Default)]
struct Places(Arc<Mutex<Vec<Arc<Seat>>>>);

/// A client's place.
pub(super) struct Seat {
    /// `None` while it is being served, or listens.
    silent_since: Mutex<Option<Instant>>,
    leave: Notify,
}

impl Seat {
    /// It has been heard of and must not be disturbed.
    pub(super) fn busy(&self) {
        *self.silent_since.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// It is waited for again.
    pub(super) fn silent(&self) {
        let now = Some(Instant::now());
        *self.silent_since.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// Ends when somebody else needs the place.
    pub(super) async fn left(&self) {
        self.leave.notified().await;
    }
}

impl Places {
    fn take(&self) -> Arc<Seat> {
        let seat = Seat { silent_since: Mutex::new(Some(Instant::now())), leave: Notify::new() };
        let seat = Arc::new(seat);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&seat));
        seat
    }

    fn give_back(&self, seat: &Arc<Seat>) {
        let mut seats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seats.retain(|other| !Arc::ptr_eq(other, seat));
    }

    /// Asks the one who has been silent longest to leave.
    fn make_room(&self) {
        let seats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let silent =
            |seat: &&Arc<Seat>| *seat.silent_since.lock().unwrap_or_else(PoisonError::into_inner);
        let silent = seats.iter().filter_map(|seat| Some((silent(&seat)?, seat)));
        if let Some((_, seat)) = silent.min_by_key(|(since, _)| *since) {
            seat.leave.notify_one();
        }
    }
}

/// Accepts clients for ever.
pub(super) async fn serve(listener: UnixListener, rights: Rights, service: impl Service) {
    let free = Arc::new(Semaphore::new(CLIENTS));
    let places = Places::default();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors: others will end and free some.
                tracing::warn!("a control client could not be accepted: {error}");
                places.make_room();
                tokio::time::sleep(WRITE / 10).await;
                continue;
            }
        };
        if free.available_permits() == 0 {
            places.make_room();
        }
        let Ok(Ok(permit)) = timeout(PLACE, Arc::clone(&free).acquire_owned()).await else {
            let sentence = format!("{CLIENTS} clients are connected: close one, or try again");
            turn_away(&stream, &RpcError::ebusy(sentence));
            continue;
        };
        let (rights, service, places) = (rights.clone(), service.clone(), places.clone());
        tokio::spawn(async move {
            let seat = places.take();
            admit(stream, rights, service, &seat, permit).await;
            places.give_back(&seat);
        });
    }
}

async fn admit(
    stream: UnixStream,
    rights: Rights,
    service: impl Service,
    seat: &Seat,
    _place: OwnedSemaphorePermit,
) {
    match access(&stream, rights).await {
        // A client that goes away in the middle is its own affair.
        Some(access) => _ = client::serve(stream, access, service, seat).await,
        None => {
            let sentence = "neither your user nor a group of yours may use this switch: \
                            see [control] in its config";
            turn_away(&stream, &RpcError::refused("EPERM", sentence));
        }
    }
}

async fn access(stream: &UnixStream, rights: Rights) -> Option<Access> {
    let peer = stream.peer_cred().ok()?;
    let (user, group) = (peer.uid().into(), peer.gid().into());
    // The user database may be on another machine.
    tokio::task::spawn_blocking(move || rights.of(user, group)).await.ok()?
}

fn turn_away(stream: &UnixStream, error: &RpcError) {
    let line = client::failure(&Value::Null, error);
    // Its buffer is empty: what does not fit is not worth waiting for.
    _ = stream.try_write(line.as_bytes());
}

#[cfg(test)]
mod tests;
