//! The demo wire: what `device = "demo"` puts below a switch.
//!
//! A ring pair, and on its far end a thread with a host (10.0.0.1/24) that
//! answers ARP and echo. It can also be a hairpin, like an external switch with
//! reflective relay. Opened by control; ends when its [`DemoHost`] is dropped.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use macvlan::mac::MacAddr;

use super::host::Host;
use crate::dpdk::{BURST, Burst, DpdkError, EthOptions, Lcore, Mbuf, Pool, RingPair};

/// The demo host's address; its prefix is /24.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

/// The rings' driver has no more queues than this.
const QUEUES: u16 = 16;

/// The host looks at its rings this often while frames come, and otherwise.
const ALERT: Duration = Duration::from_micros(100);
const QUIET: Duration = Duration::from_millis(2);
const LATELY: Duration = Duration::from_millis(100);

/// What the device text asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Frames for others come back on the port they went out of.
    pub hairpin: bool,
}

impl Options {
    /// Reads `demo` or `demo,hairpin=0|1`; `None` if the device is another one.
    ///
    /// # Errors
    /// Inside the option: a sentence about an argument that is not known.
    #[must_use]
    pub fn parse(device: &str) -> Option<Result<Self, String>> {
        let mut words = device.split(',');
        if words.next() != Some("demo") {
            return None;
        }
        let mut options = Self::default();
        for word in words {
            match word.trim() {
                "hairpin=1" => options.hairpin = true,
                "hairpin=0" => options.hairpin = false,
                other => {
                    let advice = "write demo, demo,hairpin=0 or demo,hairpin=1";
                    return Some(Err(format!("the demo wire knows no \"{other}\": {advice}")));
                }
            }
        }
        Some(Ok(options))
    }
}

/// The Ethernet address of the host on the wire of a lower.
#[must_use]
pub fn host_mac(lower: &str) -> MacAddr {
    MacAddr::derive(&["demo host", lower], 0)
}

/// The thread on the far end.
#[derive(Debug)]
pub struct DemoHost {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Opens the wire for lower `name`. Returns the switch's end.
///
/// # Errors
/// The DPDK call that failed. Nothing is left behind.
pub fn open(
    name: &str,
    demo: Options,
    options: &EthOptions,
    pool: &Arc<Pool>,
) -> Result<(RingPair, DemoHost), DpdkError> {
    let options = EthOptions { queues: options.queues.min(QUEUES), ..options.clone() };
    // DPDK's names are short, and two lowers' names may begin alike.
    let short = MacAddr::derive(&[name], 0).key();
    let (near, far) = RingPair::wire(&format!("{:.8x}", short & 0xffff_ffff), &options, pool)?;
    let mac = host_mac(name);
    let stop = Arc::new(AtomicBool::new(false));
    let thread = std::thread::Builder::new().name("mv-demo-host".to_owned()).spawn({
        let (stop, pool) = (Arc::clone(&stop), Arc::clone(pool));
        let host = Host::new(mac, ADDRESS, 24, options.mtu);
        move || match Lcore::helper() {
            Ok(lcore) => End { far, lcore, pool, host, hairpin: demo.hairpin }.run(&stop),
            Err(error) => tracing::error!("the demo host cannot run: {error}"),
        }
    });
    let thread = thread.map_err(|error| DpdkError {
        call: "pthread_create",
        errno: error.raw_os_error().unwrap_or(nix::libc::EAGAIN),
        said: None,
    })?;
    Ok((near, DemoHost { stop, thread: Some(thread) }))
}

impl Drop for DemoHost {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}

/// The far end and what sits on it.
struct End {
    far: RingPair,
    lcore: Lcore,
    pool: Arc<Pool>,
    host: Host,
    hairpin: bool,
}

impl End {
    fn run(mut self, stop: &AtomicBool) {
        let mut inbound = Burst::new();
        let mut outbound = Burst::new();
        let mut last_frame = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            let mut moved = false;
            for queue in 0..self.far.port().info().rx_queues {
                moved |= self.far.port().rx(queue, &mut inbound) > 0;
                for frame in inbound.drain() {
                    self.take(frame, &mut outbound);
                }
                self.send(&mut outbound);
            }
            let replies: Vec<Vec<u8>> = self.host.poll().collect();
            for replies in replies.chunks(BURST) {
                // Out of buffers, or full: lost, as on any wire.
                let frames = replies.iter().filter_map(|reply| self.pool.frame(reply));
                frames.for_each(|frame| drop(outbound.push(frame)));
                self.send(&mut outbound);
            }
            if moved {
                last_frame = Instant::now();
            }
            let nap = if last_frame.elapsed() < LATELY { ALERT } else { QUIET };
            if !moved {
                std::thread::park_timeout(nap);
            }
        }
    }

    fn take(&mut self, frame: Mbuf, outbound: &mut Burst) {
        let Some(destination) = frame.bytes().first_chunk().copied().map(MacAddr::new) else {
            return;
        };
        let wanted = self.host.wants(destination);
        if wanted {
            self.host.input(frame.bytes());
        }
        if self.hairpin && (!wanted || destination.is_multicast()) {
            // The inbound burst is no longer than the outbound one.
            drop(outbound.push(frame));
        }
    }

    fn send(&self, outbound: &mut Burst) {
        if !outbound.is_empty() && self.far.port().tx(&self.lcore, outbound) > 0 {
            self.far.notify();
        }
        outbound.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::Options;

    #[test]
    fn device_texts() {
        assert_eq!(Options::parse("demo"), Some(Ok(Options { hairpin: false })));
        assert_eq!(Options::parse("demo,hairpin=1"), Some(Ok(Options { hairpin: true })));
        assert!(Options::parse("demo,loop=1").unwrap().unwrap_err().contains("loop=1"));
        assert_eq!(Options::parse("demo0"), None);
        assert_eq!(Options::parse("net_null0"), None);
    }
}
