//! What is shown of links and lowers: on the control socket and in the start
//! banner.

use macvlan::driver::{self, Driver, HostPort, Index};
use macvlan::drop::DropReason;
use macvlan::mac::MacAddr;
use macvlan::mode::{Flags, Mode};
use mvctl::proto::{
    Drops, Extra, InfoData, LinkInfo, LinkShow, LowerExtra, LowerShow, RpcError, RxStats, Stats64,
    TxStats,
};

use super::Outcome;
use super::registry::{Link, Lower, Registry};
use crate::config::{Endpoint, Role};
use crate::datapath::Totals;

/// What the kernel shows of a link that queues nothing (LC-05).
const TX_QUEUE_LEN: u32 = 1000;

/// The links, by age, or the one of this name.
///
/// # Errors
/// ENODEV: there is none of this name.
pub(super) fn links(registry: &Registry, name: Option<&str>) -> Outcome<Vec<LinkShow>> {
    let driver = registry.driver();
    let shown: Vec<LinkShow> = driver
        .links()
        .filter(|link| name.is_none_or(|name| link.name == name))
        .filter_map(|facts| link(registry, driver, facts.index))
        .collect();
    found(shown, "link", name)
}

/// The lowers, in the order of the config, or the one of this name.
///
/// # Errors
/// ENODEV: there is none of this name.
pub(super) fn lowers(registry: &Registry, name: Option<&str>) -> Outcome<Vec<LowerShow>> {
    let shown: Vec<LowerShow> = registry
        .lowers
        .iter()
        .filter_map(|lower| Some((lower, registry.driver().lower(lower.index)?)))
        .filter(|(_, facts)| name.is_none_or(|name| facts.spec.name == name))
        .map(|(lower, facts)| show_lower(registry.driver(), lower, facts))
        .collect();
    found(shown, "lower", name)
}

fn found<T>(shown: Vec<T>, kind: &str, name: Option<&str>) -> Outcome<Vec<T>> {
    match name {
        Some(name) if shown.is_empty() => {
            Err(RpcError::enodev(format!("there is no {kind} {name}")))
        }
        _ => Ok(shown),
    }
}

/// A lower, as a state of the driver has it.
pub(super) fn lower(registry: &Registry, driver: &Driver, index: Index) -> Option<LowerShow> {
    Some(show_lower(driver, registry.lower(index)?, driver.lower(index)?))
}

/// A link, as a state of the driver has it.
pub(super) fn link(registry: &Registry, driver: &Driver, index: Index) -> Option<LinkShow> {
    let facts = driver.link(index)?;
    let link = registry.links.get(&facts.index)?;
    let lower = registry.lower(facts.lower)?;
    let lower_facts = driver.lower(facts.lower)?;
    let totals = link.port.stats.totals();
    Some(LinkShow {
        ifindex: facts.index.number(),
        link: lower_facts.spec.name.clone(),
        ifname: facts.name.clone(),
        flags: link_flags(facts, lower_facts),
        mtu: facts.mtu,
        qdisc: if facts.been_up { "noqueue" } else { "noop" }.to_owned(),
        operstate: driver.oper_state(facts).name().to_owned(),
        linkmode: "DEFAULT".to_owned(),
        group: "default".to_owned(),
        txqlen: TX_QUEUE_LEN,
        link_type: "ether".to_owned(),
        address: facts.address.to_string(),
        broadcast: MacAddr::BROADCAST.to_string(),
        promiscuity: u32::from(facts.promisc),
        allmulti: u32::from(facts.allmulti),
        min_mtu: driver::MIN_MTU,
        max_mtu: lower_facts.spec.max_mtu,
        linkinfo: LinkInfo { info_kind: "macvlan".to_owned(), info_data: info(driver, facts)? },
        num_tx_queues: 1,
        num_rx_queues: 1,
        stats64: stats_of_link(&totals),
        mvswitch: extra(facts, link, &totals, &lower.port.stats.totals()),
    })
}

/// With what `ip` adds for a link whose lower is down.
fn link_flags(link: &driver::Link, lower: &driver::Lower) -> Vec<String> {
    let mut flags = flags(link.up, lower.passes(), link.promisc, link.allmulti);
    flags.extend((!lower.spec.up).then(|| "M-DOWN".to_owned()));
    flags
}

/// In the order in which `ip` prints them.
fn flags(up: bool, passes: bool, promisc: bool, allmulti: bool) -> Vec<String> {
    let mut flags = Vec::new();
    if up && !passes {
        flags.push("NO-CARRIER");
    }
    flags.extend(["BROADCAST", "MULTICAST"]);
    flags.extend(allmulti.then_some("ALLMULTI"));
    flags.extend(promisc.then_some("PROMISC"));
    flags.extend(up.then_some("UP"));
    if up && passes {
        flags.push("LOWER_UP");
    }
    flags.into_iter().map(str::to_owned).collect()
}

/// Section 12.2.
fn info(driver: &Driver, link: &driver::Link) -> Option<InfoData> {
    let info = driver.fill_info(link.index)?;
    let source = info.mode == Mode::Source;
    let macaddr: Vec<String> = info.macaddr.iter().map(MacAddr::to_string).collect();
    Some(InfoData {
        mode: info.mode.to_string(),
        nopromisc: info.flags.contains(Flags::NOPROMISC),
        nodst: info.flags.contains(Flags::NODST),
        bcqueuelen: info.bc_queue_len,
        usedbcqueuelen: info.bc_queue_len_used,
        bclim: (info.bc_cutoff != driver::BC_CUTOFF).then_some(info.bc_cutoff),
        macaddr_count: source.then_some(macaddr.len()),
        macaddr_data: if source { macaddr } else { Vec::new() },
    })
}

/// As the guest's interface would count (section 8): it receives what the
/// switch's port transmits.
fn stats_of_link(totals: &Totals) -> Stats64 {
    let not_taken: u64 = totals.tx_drops.iter().sum();
    // What a list consumes on its way to a sibling counts as sent (ST-06).
    let consumed = totals.rx_drops.get(DropReason::SourceNodst.index()).copied().unwrap_or(0);
    let not_sent = totals.rx_drops.iter().sum::<u64>() - consumed + totals.wire_full;
    Stats64 {
        rx: RxStats {
            bytes: totals.tx_bytes,
            packets: totals.tx_packets,
            // ST-01: one counter of the driver's is shown as both.
            errors: not_taken,
            dropped: not_taken,
            multicast: totals.multicast,
            ..RxStats::default()
        },
        tx: TxStats {
            bytes: totals.rx_bytes.saturating_sub(totals.rx_drop_bytes),
            packets: totals.rx_packets.saturating_sub(not_sent),
            dropped: not_sent,
            ..TxStats::default()
        },
    }
}

fn extra(facts: &driver::Link, link: &Link, totals: &Totals, lower: &Totals) -> Extra {
    let texts =
        |set: &std::collections::BTreeSet<MacAddr>| set.iter().map(MacAddr::to_string).collect();
    let extra = Extra {
        peer_connected: link.port.carrier(),
        connections: link.connections(),
        worker: link.poller.worker,
        addresses: texts(&facts.addresses),
        groups: texts(&facts.groups),
        spoof_check: facts.spoof_check,
        drops: drops(totals),
        lower_drops: drops(lower),
        ..Extra::default()
    };
    match &link.endpoint {
        Endpoint::Vhost { socket, role } => Extra {
            socket: Some(socket.display().to_string()),
            role: Some(role_name(*role).to_owned()),
            ..extra
        },
        Endpoint::Device(device) => Extra { device: Some(device.clone()), ..extra },
    }
}

fn show_lower(driver: &Driver, lower: &Lower, facts: &driver::Lower) -> LowerShow {
    let totals = lower.port.stats.totals();
    let spec = &facts.spec;
    let filters = &lower.filters;
    let oper = match (spec.up, spec.carrier) {
        (false, _) | (true, false) => "DOWN",
        (true, true) => "UP",
    };
    let dropped = |counts: &[u64]| counts.iter().sum();
    LowerShow {
        ifindex: lower.index.number(),
        ifname: spec.name.clone(),
        flags: flags(spec.up, spec.carrier, filters.promiscuous.is_some(), filters.allmulti),
        mtu: spec.mtu,
        operstate: oper.to_owned(),
        link_type: "ether".to_owned(),
        address: spec.address.to_string(),
        promiscuity: u32::from(filters.promiscuous.is_some()),
        allmulti: u32::from(filters.allmulti),
        max_mtu: spec.max_mtu,
        // A lower counts as the switch's own port sees the wire.
        stats64: Stats64 {
            rx: RxStats {
                bytes: totals.rx_bytes,
                packets: totals.rx_packets,
                dropped: dropped(&totals.rx_drops),
                ..RxStats::default()
            },
            tx: TxStats {
                bytes: totals.tx_bytes,
                packets: totals.tx_packets,
                dropped: dropped(&totals.tx_drops),
                ..TxStats::default()
            },
        },
        mvswitch: LowerExtra {
            device: lower.device(),
            host: lower.host.as_ref().map(|host| host.config.device.clone()),
            reachable: spec.host == HostPort::Reachable,
            promiscuous_because: filters.promiscuous.map(str::to_owned),
            unicast: filters.unicast.iter().map(MacAddr::to_string).collect(),
            groups: filters.groups.iter().map(MacAddr::to_string).collect(),
            usedbcqueuelen: driver.bc_queue_len_used(lower.index),
            bclim: facts.bc_cutoff(),
            links: driver.links_of(lower.index).map(|link| link.name.clone()).collect(),
            drops: drops(&totals),
        },
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Server => "server",
        Role::Client => "client",
    }
}

/// What is not zero.
pub(super) fn drops(totals: &Totals) -> Vec<Drops> {
    let of = |direction: &'static str, counts: [u64; DropReason::COUNT]| {
        let counted = DropReason::ALL.iter().zip(counts).filter(|(_, frames)| *frames > 0);
        counted.map(move |(reason, frames)| Drops {
            direction: direction.to_owned(),
            reason: reason.name().to_owned(),
            frames,
        })
    };
    of("receive", totals.rx_drops).chain(of("transmit", totals.tx_drops)).collect()
}

/// A line per lower and link for the start banner.
pub(super) fn banner(registry: &Registry) -> Vec<String> {
    let driver = registry.driver();
    let mut lines = Vec::new();
    for lower in &registry.lowers {
        let Some(facts) = driver.lower(lower.index) else { continue };
        let spec = &facts.spec;
        let state = match (spec.up, spec.carrier) {
            (false, _) => "down",
            (true, false) => "no carrier",
            (true, true) => "up",
        };
        let (name, device, mtu) = (&spec.name, lower.device(), spec.mtu);
        lines.push(format!("lower  {name:<12} {device}  mtu {mtu}  {state}"));
        if let Some(host) = &lower.host {
            let reachable =
                if spec.host == HostPort::Reachable { "  reachable from links" } else { "" };
            let device = &host.config.device;
            lines.push(format!("host   {:<12} device {device}{reachable}", format!("@{name}")));
        }
        for facts in driver.links_of(lower.index) {
            let Some(link) = registry.links.get(&facts.index) else { continue };
            let endpoint = match &link.endpoint {
                Endpoint::Vhost { socket, role: Role::Server } => {
                    format!("listening at {}", socket.display())
                }
                Endpoint::Vhost { socket, role: Role::Client } => {
                    format!("connecting to {}", socket.display())
                }
                Endpoint::Device(device) => format!("device {device}"),
            };
            let down = if facts.up { "" } else { "  down" };
            lines.push(format!(
                "link   {:<12} {:<8} on {name}  {}  {endpoint}{down}",
                facts.name, facts.mode, facts.address
            ));
        }
    }
    lines
}
