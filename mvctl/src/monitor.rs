//! `monitor`: prints changes as they happen, as `ip monitor link` does.
//!
//! Ends well when it is interrupted or nobody reads any more, and with a failure
//! when mvswitch goes away.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::SignalFd;
use serde::Deserialize;

use crate::client::{Client, ClientError};
use crate::failure::{Failure, warn};
use crate::options::Options;
use crate::proto::{Event, Nothing, Request, Subscribed};
use crate::render::{self, Style};

/// What mvswitch sends by itself.
#[derive(Deserialize)]
struct Notification {
    params: Event,
}

/// Prints events until interrupted.
///
/// # Errors
/// mvswitch refused, or has gone away.
pub(crate) fn run(mut client: Client, options: &Options) -> Result<(), Failure> {
    let broken = |error: Errno| Failure::Local(format!("cannot wait for events: {error}"));
    // Before anything can be missed: from here on a signal is an event, too.
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGINT);
    mask.add(Signal::SIGTERM);
    mask.thread_block().map_err(broken)?;
    let signals = SignalFd::new(&mask).map_err(broken)?;
    let subscribed: Subscribed = client.ask(&Request::Monitor(Nothing {}))?;
    let (mut stream, mut read) = client.into_parts();
    let mut printer = Printer::new(options, subscribed.sequence);
    let mut chunk = vec![0; 64 << 10];
    loop {
        match printer.print(&mut read)? {
            Printed::All => {}
            Printed::NobodyReads => return Ok(()),
        }
        let out = std::io::stdout();
        let mut waiting = [
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
            // Reports errors alone: that its reader has gone.
            PollFd::new(out.as_fd(), PollFlags::empty()),
            PollFd::new(stream.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut waiting, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            polled => _ = polled.map_err(broken)?,
        }
        let [interrupted, unread, _] = waiting.map(|fd| fd.any().unwrap_or(false));
        if interrupted || unread {
            return Ok(());
        }
        let count = match stream.read(&mut chunk) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => 0,
        };
        if count == 0 {
            let gone = "mvswitch has gone away: there are no more events".to_owned();
            return Err(Failure::Client(ClientError::Unreachable(gone)));
        }
        read.extend(chunk.iter().take(count));
    }
}

enum Printed {
    All,
    NobodyReads,
}

struct Printer {
    style: Style,
    stamp: Option<Stamp>,
    /// The number of the last event.
    sequence: u64,
}

#[derive(Clone, Copy)]
enum Stamp {
    Long,
    Short,
}

impl Printer {
    fn new(options: &Options, sequence: u64) -> Self {
        let long = options.timestamp.then_some(Stamp::Long);
        let stamp = if options.tshort { Some(Stamp::Short) } else { long };
        Self { style: Style::new(options), stamp, sequence }
    }

    /// Prints the events whose lines are complete, and forgets them.
    fn print(&mut self, read: &mut Vec<u8>) -> Result<Printed, Failure> {
        let Some(end) = read.iter().rposition(|&byte| byte == b'\n') else {
            return Ok(Printed::All);
        };
        let lines: Vec<u8> = read.drain(..=end).collect();
        let mut text = String::new();
        for line in lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let told: Notification = serde_json::from_slice(line).map_err(|error| {
                let odd = format!("mvswitch speaks another version: {error}");
                Failure::Client(ClientError::Unreachable(odd))
            })?;
            if let Some(missed) = self.missed(told.params.sequence) {
                let many =
                    if missed == 1 { "1 event was" } else { &format!("{missed} events were") };
                warn(&format!("mvctl: {many} missed: they came faster than they were read"));
            }
            text.push_str(&self.event(&told.params));
        }
        let mut out = std::io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => Ok(Printed::All),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Printed::NobodyReads),
            Err(error) => Err(Failure::Local(format!("cannot write to standard output: {error}"))),
        }
    }

    /// How many events before this one never came.
    fn missed(&mut self, sequence: u64) -> Option<u64> {
        let last = std::mem::replace(&mut self.sequence, sequence);
        sequence.checked_sub(last.saturating_add(1)).filter(|&missed| missed > 0)
    }

    fn event(&self, event: &Event) -> String {
        if self.style.json {
            return render::json(event, self.style.pretty);
        }
        let mut text = match self.stamp {
            Some(stamp) => stamped(stamp, event.time_us, TimeZone::system()),
            None => String::new(),
        };
        if event.change == "del" {
            text.push_str("Deleted ");
        }
        if let Some(link) = &event.link {
            render::link::one(&mut text, link, &self.style);
        }
        if let Some(lower) = &event.lower {
            render::lower::one(&mut text, lower, &self.style);
        }
        text
    }
}

/// A time as `ip -t` and `ip -ts` write it.
fn stamped(stamp: Stamp, time_us: u64, zone: TimeZone) -> String {
    let time = i64::try_from(time_us).ok().and_then(|us| Timestamp::from_microsecond(us).ok());
    let time = time.unwrap_or(Timestamp::UNIX_EPOCH).to_zoned_datetime(zone);
    match stamp {
        Stamp::Long => {
            let us = time_us % 1_000_000;
            format!("Timestamp: {} {us} usec\n", time.strftime("%a %b %e %H:%M:%S %Y"))
        }
        Stamp::Short => format!("[{}] ", time.strftime("%Y-%m-%dT%H:%M:%S.%6f")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::tests::link;

    fn printer(options: &Options) -> Printer {
        Printer::new(options, 4)
    }

    #[test]
    fn events_look_like_ip_s() {
        let event = Event {
            sequence: 5,
            time_us: 1_795_437_831_000_042,
            change: "del".into(),
            link: Some(Box::new(link())),
            lower: None,
        };
        let text = printer(&Options::default()).event(&event);
        assert!(
            text.starts_with("Deleted 5: mv0@lan0: <") && text.ends_with("worker 0\n"),
            "{text}"
        );
        let set = Event { change: "set".into(), ..event.clone() };
        let text = printer(&Options::default()).event(&set);
        assert!(text.starts_with("5: mv0@lan0: <"), "{text}");
        let text = printer(&Options { json: true, ..Options::default() }).event(&event);
        assert!(
            text.starts_with(
                "{\"sequence\":5,\"time_us\":1795437831000042,\"change\":\"del\",\"link\":{"
            ),
            "{text}"
        );
        assert_eq!(text.matches('\n').count(), 1);
        let text = printer(&Options { tshort: true, ..Options::default() }).event(&set);
        assert!(text.starts_with("[2026-11-2"), "{text}");
    }

    #[test]
    fn times_look_like_ip_s() {
        let at = |stamp| stamped(stamp, 1_795_437_831_000_042, TimeZone::UTC);
        assert_eq!(at(Stamp::Long), "Timestamp: Mon Nov 23 12:43:51 2026 42 usec\n");
        assert_eq!(at(Stamp::Short), "[2026-11-23T12:43:51.000042] ");
    }

    #[test]
    fn gaps_are_noticed() {
        let mut printer = printer(&Options::default());
        assert_eq!(printer.missed(5), None);
        assert_eq!(printer.missed(6), None);
        assert_eq!(printer.missed(9), Some(2));
        assert_eq!(printer.missed(10), None);
    }
}
