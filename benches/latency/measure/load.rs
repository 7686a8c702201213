//! The generator: two guests on one thread, and an open loop between them.
//!
//! Frames go from guest A through the program to guest B, which turns them
//! around at once: a round trip crosses the program twice. A frame carries the
//! moment at which it was *due*, whether or not the generator was in time, so a
//! program that holds the generator up does not hide its own delay. Frames for
//! which a ring has no room are lost, as on a wire. It runs on the thread that
//! started EAL and on no other.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use mvswitch::dpdk::{
    BURST, Burst, Eal, EalOptions, EthOptions, EthPort, Lcore, Memory, Pool, clock,
};

use super::{CONTROL_CORE, Outcome};

/// The guests' addresses, which are those of the links.
pub(super) const ADDRESSES: [&str; 2] = ["02:00:00:00:00:10", "02:00:00:00:00:11"];
const A: [u8; 6] = [2, 0, 0, 0, 0, 0x10];
const B: [u8; 6] = [2, 0, 0, 0, 0, 0x11];

/// Bytes of a frame, without FCS: the least there can be.
pub(super) const FRAME: usize = 60;
/// Behind the Ethernet header: when the frame was due, and of which window it is.
const STAMP: std::ops::Range<usize> = 14..22;
const SERIAL: std::ops::Range<usize> = 22..26;
/// Descriptors of a guest's ring: the most there can be.
pub(super) const RING: u16 = 1024;

/// A turn of the generator that takes longer was interrupted.
const STALL: Duration = Duration::from_micros(50);
/// How long frames that are on their way may take.
const DRAIN: Duration = Duration::from_millis(20);
/// How long a program may take until frames come round.
const PATIENCE: Duration = Duration::from_secs(20);

/// A load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer {
    /// Frames per second.
    pub(crate) rate: u64,
    /// Frames due at the same moment, 1 to 32.
    pub(crate) burst: u32,
    /// For how long.
    pub(crate) time: Duration,
}

/// What came of an offer.
#[derive(Debug)]
pub(crate) struct Window {
    /// Round trips in TSC ticks, from the moment the frame was due.
    pub(crate) latency: Histogram<u32>,
    /// Frames that were due.
    pub(crate) due: u64,
    /// Frames that came back while others were still due.
    in_time: u64,
    time: Duration,
    /// How long the generator was not running.
    pub(crate) stalled: Duration,
    /// How long the program's busiest thread waited for its core.
    pub(crate) waited: Duration,
    /// Share of its turns' time in which the generator moved frames, in per cent.
    pub(crate) generator_busy: u64,
}

impl Window {
    /// Frames that never came back.
    pub(crate) fn lost(&self) -> u64 {
        self.due.saturating_sub(self.latency.len())
    }

    /// Frames per second that came back.
    pub(crate) fn rate(&self) -> u64 {
        let micros = u64::try_from(self.time.as_micros()).unwrap_or(u64::MAX).max(1);
        self.in_time.saturating_mul(1_000_000) / micros
    }

    /// One of the two threads was kept off its core for more than a 400th
    /// of the time: the tail would tell of that and of nothing else.
    pub(crate) fn disturbed(&self) -> bool {
        self.stalled.max(self.waited) > self.time / 400
    }
}

/// The guests of one program.
#[derive(Debug)]
pub(crate) struct Guests {
    a: EthPort,
    b: EthPort,
}

/// The only user of EAL in this process. Guests go before it.
#[derive(Debug)]
pub(crate) struct Generator {
    lcore: Lcore,
    pool: Arc<Pool>,
    /// Of the latest window.
    serial: u32,
    /// Guests made so far.
    devices: u32,
    _eal: Eal,
}

impl Generator {
    /// Starts EAL on the calling thread and pins it to the control core.
    pub(crate) fn start(directory: &Path, memory: Memory) -> Outcome<Self> {
        let eal = Eal::start(&EalOptions {
            name: format!("latency-{}", std::process::id()),
            runtime_dir: directory.to_owned(),
            control_core: CONTROL_CORE,
            memory,
            memory_mb: 256,
            pci: Vec::new(),
            extra: Vec::new(),
        })?;
        // Two rings of two guests of three programs, twice over.
        let pool = Arc::new(Pool::new("latency", 32_767, 2048)?);
        let lcore = Lcore::register(0, Some(CONTROL_CORE))?;
        Ok(Self { lcore, pool, serial: 0, devices: 0, _eal: eal })
    }

    /// Connects guests to the sockets of a program that runs.
    pub(crate) fn guests(&mut self, sockets: &[std::path::PathBuf; 2]) -> Outcome<Guests> {
        let options =
            EthOptions { queues: 1, users: 1, descriptors: RING, mtu: 1500, promiscuous: false };
        let mut attach = |path: &Path, address: &str| {
            let path = path.display();
            // The cheapest guest there is: it is not what is measured.
            let device = format!(
                "net_virtio_user{},path={path},mac={address},queue_size={RING},\
                 mrg_rxbuf=0,in_order=0,vectorized=1",
                self.devices
            );
            self.devices += 1;
            EthPort::attach(&device, &options, &self.pool)
        };
        let [a, b] = sockets;
        let [address_a, address_b] = ADDRESSES;
        Ok(Guests { a: attach(a, address_a)?, b: attach(b, address_b)? })
    }

    /// Waits until frames come round.
    pub(crate) fn wait_for(&mut self, guests: &Guests) -> Outcome<()> {
        let few = Offer { rate: 10_000, burst: 1, time: Duration::from_millis(50) };
        let deadline = clock::ticks() + clock::ticks_in(PATIENCE);
        loop {
            let window = self.offer(guests, few);
            if !window.latency.is_empty() && window.lost() == 0 {
                return Ok(());
            }
            if clock::ticks() > deadline {
                let (came, due) = (window.latency.len(), window.due);
                return Err(
                    format!("{came} of {due} frames came back, at {} a second", few.rate).into()
                );
            }
        }
    }

    /// Offers a load and waits for the last frame of it.
    pub(crate) fn offer(&mut self, guests: &Guests, offer: Offer) -> Window {
        self.serial += 1;
        let serial = self.serial.to_le_bytes();
        let Guests { a, b } = guests;
        let (request, reply) = (frame(B, A), frame(A, B));
        // Up to a second; what takes longer counts as that long.
        let hz = clock::ticks_per_second();
        let mut latency = histogram(hz);
        let mut schedule = Schedule::new(offer, clock::ticks() + hz / 100_000);
        let stall = clock::ticks_in(STALL);
        let deadline = schedule.end + clock::ticks_in(DRAIN);
        let (mut sent, mut in_time, mut stalled, mut busy) = (0, 0, 0, 0_u64);
        let (mut out, mut inward) = (Burst::new(), Burst::new());
        let begun = schedule.start;
        let mut now = begun;
        loop {
            let before = std::mem::replace(&mut now, clock::ticks());
            let turn = now.saturating_sub(before);
            stalled += if turn > stall { turn } else { 0 };
            if now >= schedule.end && (latency.len() >= sent || now > deadline) {
                break;
            }
            let mut moved = 0;
            while out.len() + schedule.burst <= BURST
                && let Some(due) = schedule.next(now)
            {
                let bytes = stamped(&request, &due.to_le_bytes(), &serial);
                let frames = (0..schedule.burst).map_while(|_| self.pool.frame(&bytes));
                out.append(frames);
            }
            if !out.is_empty() {
                let taken = a.tx(&self.lcore, &mut out);
                sent += u64::try_from(taken).unwrap_or(0);
                moved += taken;
                out.clear();
            }
            if b.rx(0, &mut inward) > 0 {
                moved += inward.len();
                let replies = inward.as_slice().iter().filter_map(|frame| {
                    let (stamp, of) = stamp_of(frame.bytes())?;
                    self.pool.frame(&stamped(&reply, &stamp, &of))
                });
                out.append(replies);
                inward.clear();
                b.tx(&self.lcore, &mut out);
                out.clear();
            }
            if a.rx(0, &mut inward) > 0 {
                moved += inward.len();
                let arrival = clock::ticks();
                for frame in inward.as_slice() {
                    // Late ones of an earlier window are no longer of interest.
                    if let Some((stamp, of)) = stamp_of(frame.bytes())
                        && of == serial
                    {
                        let trip = arrival.saturating_sub(u64::from_le_bytes(stamp));
                        latency.saturating_record(trip);
                        in_time += u64::from(arrival < schedule.end);
                    }
                }
                inward.clear();
            }
            if moved > 0 {
                busy += clock::ticks().saturating_sub(now);
            }
        }
        Window {
            latency,
            due: schedule.due(),
            in_time,
            time: offer.time,
            stalled: Duration::from_nanos(stalled.saturating_mul(1000) / (hz / 1_000_000).max(1)),
            waited: Duration::ZERO,
            generator_busy: busy.saturating_mul(100) / now.saturating_sub(begun).max(1),
        }
    }
}

/// Empty, for ticks of up to a second, to three digits.
pub(super) fn histogram(hz: u64) -> Histogram<u32> {
    // The bounds are valid for any clock that counts at all.
    Histogram::new_with_bounds(1, hz.max(2), 3).unwrap_or_else(|_| unreachable!())
}

/// When bursts are due.
#[derive(Debug)]
struct Schedule {
    start: u64,
    end: u64,
    burst: usize,
    /// Ticks since the start at which the next is due, and between two of them,
    /// in 1/65,536.
    next: u64,
    step: u64,
    total: u64,
}

impl Schedule {
    fn new(offer: Offer, start: u64) -> Self {
        let burst = offer.burst.clamp(1, 32);
        let ticks = (clock::ticks_per_second() << 16).saturating_mul(u64::from(burst));
        let length = clock::ticks_in(offer.time);
        let step = (ticks / offer.rate.max(1)).max(1);
        Self {
            start,
            end: start + length,
            burst: usize::try_from(burst).unwrap_or(1),
            next: 0,
            step,
            total: (length << 16).div_ceil(step) * u64::from(burst),
        }
    }

    /// The moment of a burst that is due at `now`.
    fn next(&mut self, now: u64) -> Option<u64> {
        let due = self.start + (self.next >> 16);
        if due > now || due >= self.end || now >= self.end {
            return None;
        }
        self.next += self.step;
        Some(due)
    }

    /// Frames that are due from the start to the end.
    fn due(&self) -> u64 {
        self.total
    }
}

fn frame(destination: [u8; 6], source: [u8; 6]) -> [u8; FRAME] {
    let mut bytes = [0; FRAME];
    // For local experiments.
    let kind = [0x88, 0xb5];
    for (place, byte) in bytes.iter_mut().zip(destination.into_iter().chain(source).chain(kind)) {
        *place = byte;
    }
    bytes
}

#[inline]
fn stamped(template: &[u8; FRAME], stamp: &[u8; 8], serial: &[u8; 4]) -> [u8; FRAME] {
    let mut bytes = *template;
    bytes[STAMP].copy_from_slice(stamp);
    bytes[SERIAL].copy_from_slice(serial);
    bytes
}

/// When the frame was due, and its window; `None` if it is not one of ours.
#[inline]
fn stamp_of(bytes: &[u8]) -> Option<([u8; 8], [u8; 4])> {
    let stamp = bytes.get(STAMP)?.try_into().ok()?;
    Some((stamp, bytes.get(SERIAL)?.try_into().ok()?))
}
