//! In-process tests of the DPDK wrapper and the data path on real PMDs.
//!
//! EAL starts once per process, so each case runs in a process of its own: this
//! program re-executes itself with the case's name in the environment. net_ring
//! and net_null are the devices; nothing is mocked.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and waits"
)]

mod bench;
#[path = "../common/mod.rs"]
mod common;
mod counters;
mod devices;
mod driver;
mod idle;
mod park;
mod ports;
mod switching;

use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use macvlan::mac::MacAddr;
use mvswitch::dpdk::{Burst, Eal, EalOptions, EthOptions, Lcore, Memory, Pool, RingPair};

const CASE: &str = "MVSWITCH_TEST_CASE";

/// A case: its name and what it does in its process.
type Case = (&'static str, fn(&Bench));

const CASES: &[Case] = &[
    ("burst_owns_its_frames", ports::burst_owns_its_frames),
    ("shared_frames_come_back_once", ports::shared_frames_come_back_once),
    ("devices_that_cannot_be_opened_say_why", ports::devices_that_cannot_be_opened_say_why),
    ("dpdk_keeps_to_the_control_core", ports::dpdk_keeps_to_the_control_core),
    ("a_device_has_one_owner", ports::a_device_has_one_owner),
    ("worker_numbers_are_exclusive", ports::worker_numbers_are_exclusive),
    ("a_second_guest_is_refused", ports::a_second_guest_is_refused),
    (
        "a_probe_of_the_socket_leaves_the_guest_alone",
        ports::a_probe_of_the_socket_leaves_the_guest_alone,
    ),
    ("the_next_guest_is_asked_for_kicks_anew", ports::the_next_guest_is_asked_for_kicks_anew),
    ("a_vhost_port_carries_frames_both_ways", ports::a_vhost_port_carries_frames_both_ways),
    ("devices_say_what_they_can", devices::devices_say_what_they_can),
    ("kernel_devices_say_what_they_can", devices::kernel_devices_say_what_they_can),
    ("memberships_end_with_the_port", devices::memberships_end_with_the_port),
    ("a_pulled_cable_is_seen", devices::links::a_pulled_cable_is_seen),
    ("a_deleted_interface_is_seen", devices::links::a_deleted_interface_is_seen),
    ("a_tap_is_a_host_port", devices::links::a_tap_is_a_host_port),
    ("a_tap_wakes_a_sleeper", devices::links::a_tap_wakes_a_sleeper),
    ("link_events_end_with_the_port", devices::links::link_events_end_with_the_port),
    ("tags_go_on_and_off", devices::tags::tags_go_on_and_off),
    ("a_shared_frame_is_not_written_to", devices::tags::a_shared_frame_is_not_written_to),
    ("modes_decide_who_gets_what", switching::modes_decide_who_gets_what),
    (
        "illegal_frames_are_dropped_with_a_reason",
        switching::illegal_frames_are_dropped_with_a_reason,
    ),
    ("a_full_ring_drops_at_once", switching::a_full_ring_drops_at_once),
    ("order_is_kept_between_two_ports", switching::order_is_kept_between_two_ports),
    ("full_batches_arrive_in_order", switching::full_batches_arrive_in_order),
    ("a_broadcast_reaches_many", switching::a_broadcast_reaches_many),
    ("plans_change_under_traffic_without_loss", switching::plans_change_under_traffic),
    ("two_workers_send_to_one_link", switching::two_workers_send_to_one_link),
    ("source_lists_add_and_consume", driver::source_lists_add_and_consume),
    ("passthru_takes_all_unicast", driver::passthru_takes_all_unicast),
    ("the_host_hears_what_links_do_not", driver::the_host_hears_what_links_do_not),
    ("a_reachable_host_is_a_member", driver::a_reachable_host_is_a_member),
    (
        "a_links_mtu_limits_copies_of_siblings_only",
        driver::a_links_mtu_limits_copies_of_siblings_only,
    ),
    ("the_last_of_a_crowd_has_its_limit_too", driver::the_last_of_a_crowd_has_its_limit_too),
    ("vlans_are_lowers_of_their_own", driver::vlans_are_lowers_of_their_own),
    ("broadcasts_wait_for_their_turn", driver::broadcasts_wait_for_their_turn),
    ("a_storm_does_not_starve_unicast", driver::a_storm_does_not_starve_unicast),
    ("all_broadcast_queues_share_one_room", driver::all_broadcast_queues_share_one_room),
    (
        "broadcasts_keep_their_order_whoever_replicates_them",
        driver::broadcasts_keep_their_order_whoever_replicates_them,
    ),
    (
        "rxu_08_unicast_counts_one_packet_and_its_whole_length",
        counters::rxu_08_unicast_counts_one_packet_and_its_whole_length,
    ),
    (
        "rxm_18_what_waits_goes_by_the_rules_of_its_replication",
        counters::rxm_18_what_waits_goes_by_the_rules_of_its_replication,
    ),
    ("tx_15_a_full_wire_counts_at_the_sender", counters::tx_15_a_full_wire_counts_at_the_sender),
    ("what_does_not_leave_was_not_sent", counters::what_does_not_leave_was_not_sent),
    (
        "st_01_a_links_counters_are_sums_and_its_errors_are_drops",
        counters::st_01_a_links_counters_are_sums_and_its_errors_are_drops,
    ),
    ("st_02_every_hand_over_counts", counters::st_02_every_hand_over_counts),
    (
        "st_04_what_cannot_be_handed_over_is_the_receivers_error",
        counters::st_04_what_cannot_be_handed_over_is_the_receivers_error,
    ),
    (
        "st_05_local_group_copies_count_their_own_length",
        counters::st_05_local_group_copies_count_their_own_length,
    ),
    (
        "st_06_local_unicast_counts_as_sent_whatever_becomes_of_it",
        counters::st_06_local_unicast_counts_as_sent_whatever_becomes_of_it,
    ),
    ("st_08_the_lower_counts_the_wire_alone", counters::st_08_the_lower_counts_the_wire_alone),
    ("st_10_counters_live_with_the_link", counters::st_10_counters_live_with_the_link),
    (
        "ucf_02_a_device_without_filter_hears_everything",
        counters::ucf_02_a_device_without_filter_hears_everything,
    ),
    ("auto_idles_and_wakes_by_a_ring", idle::auto_idles_and_wakes_by_a_ring),
    ("auto_idles_and_wakes_by_a_guest", idle::auto_idles_and_wakes_by_a_guest),
    ("a_kick_brings_a_parked_link_back", park::a_kick_brings_a_parked_link_back),
    ("what_changes_brings_a_parked_link_back", park::what_changes_brings_a_parked_link_back),
    ("no_frame_of_a_parked_link_stays_behind", park::no_frame_of_a_parked_link_stays_behind),
];

fn main() -> ExitCode {
    let chosen = std::env::var(CASE).ok();
    if let Some(name) = chosen {
        let Some((_, case)) = CASES.iter().find(|(case, _)| *case == name) else {
            eprintln!("no case {name}");
            return ExitCode::FAILURE;
        };
        let bench = Bench::start();
        case(&bench);
        bench.finish();
        return ExitCode::SUCCESS;
    }
    let mut arguments = Arguments::from_args();
    // Two cores: a busy neighbour would spoil the timings.
    arguments.test_threads = Some(1);
    let trials = CASES.iter().map(|&(name, _)| Trial::test(name, move || run(name))).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn run(name: &str) -> Result<(), Failed> {
    let program = std::env::current_exe()?;
    let output = Command::new(program).env(CASE, name).output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        // Said past our own capture: a skip nobody sees is a lie.
        let said = text(&output.stderr);
        said.lines().filter(|line| line.starts_with("SKIPPED:")).for_each(|line| {
            _ = writeln!(std::io::stderr(), "\n{line}");
        });
        return Ok(());
    }
    Err(format!("{}\n{}{}", output.status, text(&output.stdout), text(&output.stderr)).into())
}

/// What every case has: EAL in the laptop profile and a pool that must be full
/// again at the end.
pub(crate) struct Bench {
    pub(crate) pool: Arc<Pool>,
    pub(crate) dir: tempfile::TempDir,
    _eal: Eal,
}

impl Bench {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let affinity = nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0)).unwrap();
        let eal = Eal::start(&EalOptions {
            name: "test".to_owned(),
            runtime_dir: dir.path().to_owned(),
            control_core: 0,
            memory: Memory::Small,
            memory_mb: 192,
            pci: Vec::new(),
            extra: Vec::new(),
        });
        let eal = eal.unwrap();
        // EAL pins the thread that starts it, and threads made later inherit that.
        assert_eq!(nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0)), Ok(affinity));
        let pool = Arc::new(Pool::new("test", 16383, 2048).unwrap());
        Self { pool, dir, _eal: eal }
    }

    fn finish(self) {
        assert_eq!(self.pool.in_use(), 0, "buffers were lost");
        assert_eq!(Arc::strong_count(&self.pool), 1, "a port was left open");
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        Path::new(self.dir.path()).join(name)
    }

    pub(crate) fn wire(&self, name: &str, queues: u16) -> (RingPair, RingPair) {
        RingPair::wire(name, &options(queues), &self.pool).unwrap()
    }
}

pub(crate) fn options(queues: u16) -> EthOptions {
    EthOptions { queues, users: queues, descriptors: 256, mtu: 1500, promiscuous: false }
}

pub(crate) fn mac(last: u8) -> MacAddr {
    MacAddr::new([2, 0, 0, 0, 0, last])
}

/// A frame of `len` bytes from `src` to `dst` that carries `tag`.
pub(crate) fn frame(dst: MacAddr, src: MacAddr, tag: u32, len: usize) -> Vec<u8> {
    let mut bytes = [&dst.bytes()[..], &src.bytes(), &[0x88, 0xb5], &tag.to_be_bytes()].concat();
    bytes.resize(len, 0);
    bytes
}

pub(crate) fn tag(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[14..18].try_into().unwrap())
}

/// The far end of a wire: a peer that sends and receives.
pub(crate) struct Peer<'a> {
    pub(crate) bench: &'a Bench,
    pub(crate) ring: RingPair,
    pub(crate) lcore: &'a Lcore,
}

impl Peer<'_> {
    /// Sends one frame; the ring must have room.
    pub(crate) fn send(&self, bytes: &[u8]) {
        let mut burst = Burst::new();
        assert!(burst.push(self.bench.pool.frame(bytes).expect("buffers")).is_none());
        assert_eq!(self.ring.port().tx(self.lcore, &mut burst), 1, "the wire is full");
        self.ring.notify();
    }

    /// Everything that has come.
    pub(crate) fn receive(&self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        let mut burst = Burst::new();
        for queue in 0..self.ring.port().info().rx_queues {
            while self.ring.port().rx(queue, &mut burst) > 0 {
                frames.extend(burst.drain().map(|frame| frame.bytes().to_vec()));
            }
        }
        frames
    }

    /// Waits until `count` frames have come.
    pub(crate) fn receive_count(&self, count: usize) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        wait_for(&format!("{count} frames"), || {
            frames.extend(self.receive());
            frames.len() >= count
        });
        frames
    }
}

/// Waits for a condition, ten seconds at most.
pub(crate) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(10), "waited in vain for {what}");
        std::thread::yield_now();
    }
}
