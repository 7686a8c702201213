//! Requests: which operation each is, what they are answered with, and when.
//!
//! Control's alone. A change, or a batch of them, becomes one transaction. What
//! must wait for a socket or device that is still closing is put aside and tried
//! again; nothing here blocks.

use std::time::Instant;

use macvlan::driver::Index;
use mvctl::proto::Outcome as Tried;
use mvctl::proto::{
    Access, Batch, BatchDone, Done, INVALID_PARAMS, Macaddr, MethodDone, Name, Request, RpcError,
};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use super::link_ops::filter;
use super::transaction::{Hindrance, Transaction};
use super::{Control, Outcome, Reply, report, show};

/// What a request is answered with, not yet in its final form: to write a
/// thousand links down is the client's thread's work, not control's.
pub struct Answer(Box<dyn FnOnce() -> serde_json::Result<Box<RawValue>> + Send>);

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").finish_non_exhaustive()
    }
}

impl Answer {
    /// This result.
    pub fn of(result: impl Serialize + Send + 'static) -> Self {
        Self(Box::new(move || to_raw_value(&result)))
    }

    /// Its JSON.
    ///
    /// # Errors
    /// EIO: it cannot be written as JSON.
    pub fn write(self) -> Outcome<Box<RawValue>> {
        (self.0)().map_err(|error| RpcError::eio(error.to_string()))
    }
}

/// What a client waits for.
pub(super) struct Pending {
    work: Work,
    reply: Reply,
    /// How long what is still closing is waited for.
    until: Instant,
}

/// What is left to do.
enum Work {
    /// One request.
    Single(Box<Request>),
    /// Several, of which so many have been tried.
    Batch { requests: Vec<Request>, atomic: bool, force: bool, results: Vec<Tried> },
    /// The end of ports that were removed: then the answer is given.
    ForEnd { ends: Vec<String>, answer: Answer },
}

/// How far it went.
enum Progress {
    Answer(Outcome<Answer>),
    Later(Work),
}

impl Pending {
    pub(super) fn new(request: Box<Request>, reply: Reply, until: Instant) -> Self {
        Self { work: Work::Single(request), reply, until }
    }
}

impl Control {
    /// Answers, or puts it aside.
    pub(super) fn serve(&mut self, pending: Pending) {
        let Pending { work, reply, until } = pending;
        let patient = Instant::now() < until;
        let progress = match work {
            Work::Single(request) => self.single(request, patient),
            Work::Batch { requests, atomic, force, results } => {
                if atomic {
                    self.all_or_nothing(requests, patient)
                } else {
                    self.one_by_one(requests, force, results, patient)
                }
            }
            Work::ForEnd { ends, answer } => self.after(ends, Ok(answer), patient),
        };
        match progress {
            Progress::Answer(answer) => reply.give(answer),
            Progress::Later(work) => self.pending.push(Pending { work, reply, until }),
        }
    }

    /// Gives the answer once no port has these sockets and devices any more. A
    /// worker that stalls only delays the clean-up.
    fn after(&self, mut ends: Vec<String>, answer: Outcome<Answer>, patient: bool) -> Progress {
        ends.retain(|resource| patient && self.publisher.is_closing(resource));
        match answer {
            Ok(answer) if !ends.is_empty() => Progress::Later(Work::ForEnd { ends, answer }),
            answer => Progress::Answer(answer),
        }
    }

    fn single(&mut self, request: Box<Request>, patient: bool) -> Progress {
        if let Request::Batch(batch) = *request {
            return match read_batch(&batch) {
                Ok(requests) if batch.atomic => self.all_or_nothing(requests, patient),
                Ok(requests) => self.one_by_one(requests, batch.force, Vec::new(), patient),
                Err(error) => Progress::Answer(Err(error)),
            };
        }
        if let Some(answer) = self.look(&request) {
            return Progress::Answer(answer);
        }
        let mut change = self.begin();
        match self.change(&mut change, &request) {
            Ok(answer) => match self.finish(change) {
                Ok(ends) => self.after(ends, Ok(Answer::of(answer)), patient),
                Err(error) => Progress::Answer(Err(error)),
            },
            Err(hindrance) => {
                self.abandon(change);
                match hindrance {
                    Hindrance::Closing(_) if patient => Progress::Later(Work::Single(request)),
                    Hindrance::Closing(error)
                    | Hindrance::Leaving(error)
                    | Hindrance::Refused(error) => Progress::Answer(Err(error)),
                }
            }
        }
    }

    fn all_or_nothing(&mut self, requests: Vec<Request>, patient: bool) -> Progress {
        let later = |requests| {
            let (force, results) = (false, Vec::new());
            Progress::Later(Work::Batch { requests, atomic: true, force, results })
        };
        // Before the first is opened: what is opened and closed while another is waited for flaps.
        if patient && requests.iter().any(|request| self.must_wait(request)) {
            return later(requests);
        }
        let mut change = self.begin();
        let mut results = Vec::with_capacity(requests.len());
        for (index, request) in requests.iter().enumerate() {
            match self.change(&mut change, request) {
                Ok(result) => results.push(Tried::Result(result)),
                Err(hindrance) => {
                    self.abandon(change);
                    return match hindrance {
                        Hindrance::Closing(_) if patient => later(requests),
                        Hindrance::Closing(error)
                        | Hindrance::Leaving(error)
                        | Hindrance::Refused(error) => Progress::Answer(Err(error.of_batch(index))),
                    };
                }
            }
        }
        match self.finish(change) {
            Ok(ends) => self.after(ends, Ok(Answer::of(BatchDone { results, held: 0 })), patient),
            Err(error) => Progress::Answer(Err(error)),
        }
    }

    /// Those that are left of a batch in which each stands for itself. As many
    /// as possible are published together.
    fn one_by_one(
        &mut self,
        requests: Vec<Request>,
        force: bool,
        mut results: Vec<Tried>,
        patient: bool,
    ) -> Progress {
        let first = results.len();
        let mut change = self.begin();
        let mut later = false;
        for request in requests.iter().skip(first) {
            match self.change(&mut change, request) {
                Ok(result) => results.push(Tried::Result(result)),
                Err(Hindrance::Closing(_) | Hindrance::Leaving(_)) if patient => {
                    later = true;
                    break;
                }
                Err(
                    Hindrance::Closing(error)
                    | Hindrance::Leaving(error)
                    | Hindrance::Refused(error),
                ) => {
                    results.push(Tried::Error(error));
                    if !force {
                        break;
                    }
                }
            }
        }
        if later && results.len() == first {
            // Nothing to publish, however often it is tried.
            self.abandon(change);
            return Progress::Later(Work::Batch { requests, atomic: false, force, results });
        }
        let ends = match self.finish(change) {
            Ok(ends) => ends,
            // A device does not take all of it together: whose fault is it?
            Err(_) if results.len() > first + 1 => {
                return self.singly(requests, force, results, first, patient);
            }
            Err(error) => {
                results.truncate(first);
                results.push(Tried::Error(error));
                later &= force;
                Vec::new()
            }
        };
        if later {
            return Progress::Later(Work::Batch { requests, atomic: false, force, results });
        }
        self.after(ends, Ok(Answer::of(BatchDone { results, held: 0 })), patient)
    }

    /// Each with a publication of its own.
    fn singly(
        &mut self,
        requests: Vec<Request>,
        force: bool,
        mut results: Vec<Tried>,
        first: usize,
        patient: bool,
    ) -> Progress {
        results.truncate(first);
        let mut ends = Vec::new();
        for request in requests.iter().skip(first) {
            let mut change = self.begin();
            let done = match self.change(&mut change, request) {
                Ok(result) => self.finish(change).map(|closed| (result, closed)),
                Err(hindrance) => {
                    self.abandon(change);
                    match hindrance {
                        // One before it has let go of it, and workers have not.
                        Hindrance::Closing(_) if patient => {
                            let atomic = false;
                            return Progress::Later(Work::Batch {
                                requests,
                                atomic,
                                force,
                                results,
                            });
                        }
                        Hindrance::Closing(error)
                        | Hindrance::Leaving(error)
                        | Hindrance::Refused(error) => Err(error),
                    }
                }
            };
            match done {
                Ok((result, closed)) => {
                    ends.extend(closed);
                    results.push(Tried::Result(result));
                }
                Err(error) => {
                    results.push(Tried::Error(error));
                    if !force {
                        break;
                    }
                }
            }
        }
        self.after(ends, Ok(Answer::of(BatchDone { results, held: 0 })), patient)
    }

    /// What changes nothing of the rules, and is done outside transactions.
    fn look(&mut self, request: &Request) -> Option<Outcome<Answer>> {
        let which = |name: &Name| name.name.clone();
        Some(match request {
            Request::LinkShow(name) => {
                show::links(&self.registry, which(name).as_deref()).map(Answer::of)
            }
            Request::LowerShow(name) => {
                show::lowers(&self.registry, which(name).as_deref()).map(Answer::of)
            }
            Request::Announce(name) => self.link_announce(which(name).as_deref()).map(Answer::of),
            Request::ConfigShow(_) => Ok(Answer::of(self.config_show())),
            Request::ConfigDiff(text) => {
                self.config_diff(text.file.as_deref(), &text.text).map(Answer::of)
            }
            Request::ConfigSave(_) => self.config_save().map(Answer::of),
            Request::StatsShow(which) => report::stats(self, which).map(Answer::of),
            Request::StatsClear(_) => {
                self.clear_baseline();
                Ok(Answer::of(MethodDone {}))
            }
            Request::WorkerShow(_) => Ok(Answer::of(self.workers())),
            Request::WorkerRebalance(_) => self.rebalance().map(Answer::of),
            Request::Explain(frame) => report::explain(self, frame).map(Answer::of),
            Request::Version(_) => Ok(Answer::of(report::version(self))),
            Request::Shutdown(_) => {
                self.stopping = true;
                Ok(Answer::of(MethodDone {}))
            }
            _ => return None,
        })
    }

    /// Carries out a change within a transaction. What is refused leaves the
    /// transaction as it was.
    fn change(&mut self, change: &mut Transaction, request: &Request) -> Result<Value, Hindrance> {
        let next = &mut change.next.driver;
        let name = match request {
            Request::LinkAdd(link) => {
                self.link_add(change, link)?;
                &link.name
            }
            Request::LinkSet(link) => {
                self.link_set(next, link)?;
                &link.name
            }
            Request::LinkDel(link) => {
                self.link_del(change, &link.name)?;
                &link.name
            }
            Request::SourceAdd(source) => {
                self.source(next, &source.name, Macaddr::Add(source.address.clone()))?;
                &source.name
            }
            Request::SourceDel(source) => {
                self.source(next, &source.name, Macaddr::Del(source.address.clone()))?;
                &source.name
            }
            Request::SourceSet(list) => {
                self.source(next, &list.name, Macaddr::Set(list.addresses.clone()))?;
                &list.name
            }
            Request::SourceFlush(link) => {
                self.source(next, &link.name, Macaddr::Flush)?;
                &link.name
            }
            Request::FilterAdd(of) => {
                filter(next, of, true)?;
                &of.name
            }
            Request::FilterDel(of) => {
                filter(next, of, false)?;
                &of.name
            }
            Request::LowerAdd(lower) => {
                self.lower_add(change, lower)?;
                &lower.name
            }
            Request::LowerSet(lower) => {
                self.lower_set(change, lower)?;
                &lower.name
            }
            Request::LowerDel(lower) => {
                self.lower_del(change, &lower.name)?;
                &lower.name
            }
            Request::HostAdd(host) => {
                self.host_add(change, host)?;
                &host.link
            }
            Request::HostSet(host) => {
                self.host_set(change, host)?;
                &host.link
            }
            Request::HostDel(host) => {
                self.host_del(change, &host.link)?;
                &host.link
            }
            Request::ConfigApply(config) => {
                let done = self.config_apply(change, config)?;
                return Ok(to_value(&done)?);
            }
            other => {
                let method = other.method();
                let message = format!("{method} stands alone: it cannot be part of a batch");
                return Err(RpcError::protocol(INVALID_PARAMS, message).into());
            }
        };
        Ok(to_value(&Done { name: name.clone() })?)
    }

    /// The index of a lower by its name.
    pub(super) fn find_lower(change: &Transaction, name: &str) -> Outcome<Index> {
        let driver = &change.next.driver;
        let found = driver.by_name(name).filter(|&index| driver.lower(index).is_some());
        found.ok_or_else(|| RpcError::enodev(format!("there is no lower {name}")))
    }
}

fn to_value<T: Serialize>(result: &T) -> Outcome<Value> {
    serde_json::to_value(result).map_err(|error| RpcError::eio(error.to_string()))
}

/// The requests of a batch, if all can be part of one.
fn read_batch(batch: &Batch) -> Outcome<Vec<Request>> {
    let read = |(index, call): (usize, &mvctl::proto::Call)| {
        let request = Request::new(&call.method, call.params.clone());
        let request = request.map_err(|error| error.of_batch(index))?;
        if is_part(&request) {
            return Ok(request);
        }
        let message = format!("{} cannot be part of a batch", call.method);
        Err(RpcError::protocol(INVALID_PARAMS, message).of_batch(index))
    };
    batch.requests.iter().enumerate().map(read).collect()
}

/// Changes of links, lowers, hosts, source lists and filters.
fn is_part(request: &Request) -> bool {
    let kinds = ["link.", "lower.", "host.", "source.", "filter."];
    let method = request.method();
    request.access() == Access::Write && kinds.iter().any(|kind| method.starts_with(kind))
}
