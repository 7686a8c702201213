//! What is shown of links: on the control socket and in the start banner.

use macvlan::drop::DropReason;
use macvlan::mac::MacAddr;
use mvctl::proto::{Drops, Extra, InfoData, LinkInfo, LinkShow, RpcError, Stats, Stats64};
use serde_json::Value;

use super::registry::{Link, Lower, Registry};
use crate::config::{Endpoint, Role};
use crate::datapath::{Device, Totals};

/// The links, by age, or the one of this name.
///
/// # Errors
/// ENOENT: there is none of this name.
pub(super) fn links(registry: &Registry, name: Option<&str>) -> Result<Value, RpcError> {
    if let Some(name) = name
        && !registry.links.contains_key(name)
    {
        return Err(RpcError::enoent(format!("there is no link {name}")));
    }
    let mut links: Vec<&Link> = registry.links.values().collect();
    links.retain(|link| name.is_none_or(|name| link.config.name == name));
    links.sort_by_key(|link| link.id);
    let shown: Vec<LinkShow> = links
        .into_iter()
        .filter_map(|link| Some(show(link, registry.lower(&link.config.lower)?)))
        .collect();
    serde_json::to_value(shown).map_err(|error| RpcError::eio(error.to_string()))
}

fn show(link: &Link, lower: &Lower) -> LinkShow {
    let config = &link.config;
    let totals = link.port.stats.totals();
    // OPST: a link without carrier below it is not operational, whatever its admin state.
    let operstate = match (config.up, lower.carrier) {
        (false, _) => "DOWN",
        (true, false) => "LOWERLAYERDOWN",
        (true, true) => "UP",
    };
    let mut flags = vec!["BROADCAST", "MULTICAST"];
    if config.up {
        flags.push("UP");
        flags.push(if lower.carrier { "LOWER_UP" } else { "NO-CARRIER" });
    }
    let dropped = |counts: &[u64]| counts.iter().sum();
    LinkShow {
        ifname: config.name.clone(),
        link: config.lower.clone(),
        flags: flags.into_iter().map(str::to_owned).collect(),
        mtu: config.mtu,
        operstate: operstate.to_owned(),
        link_type: "ether".to_owned(),
        address: config.address.to_string(),
        broadcast: MacAddr::BROADCAST.to_string(),
        linkinfo: LinkInfo {
            info_kind: "macvlan".to_owned(),
            info_data: InfoData { mode: config.mode.to_string() },
        },
        // The guest receives what the switch's port transmits.
        stats64: Stats64 {
            rx: Stats {
                bytes: totals.tx_bytes,
                packets: totals.tx_packets,
                errors: 0,
                dropped: dropped(&totals.tx_drops),
            },
            tx: Stats {
                bytes: totals.rx_bytes,
                packets: totals.rx_packets,
                errors: 0,
                dropped: dropped(&totals.rx_drops),
            },
        },
        mvswitch: extra(link, &totals, &lower.port.stats.totals()),
    }
}

fn extra(link: &Link, totals: &Totals, lower: &Totals) -> Extra {
    let extra = Extra {
        peer_connected: link.port.carrier(),
        worker: link.worker,
        drops: drops(totals),
        lower_drops: drops(lower),
        ..Extra::default()
    };
    let connections = match &link.port.device {
        Device::Vhost(port) => port.connections(),
        Device::Eth(_) | Device::Ring(_) => 0,
    };
    match &link.config.endpoint {
        Endpoint::Vhost { socket, role } => Extra {
            socket: Some(socket.display().to_string()),
            role: Some(role_name(*role).to_owned()),
            connections,
            ..extra
        },
        Endpoint::Device(device) => Extra { device: Some(device.clone()), ..extra },
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Server => "server",
        Role::Client => "client",
    }
}

fn drops(totals: &Totals) -> Vec<Drops> {
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
    let mut lines = Vec::new();
    for lower in &registry.lowers {
        let state = if lower.carrier { "up" } else { "no carrier" };
        let config = &lower.config;
        let line =
            format!("lower  {:<12} {}  mtu {}  {state}", config.name, config.device, config.mtu);
        lines.push(line);
        for link in registry.links_of(lower) {
            let config = &link.config;
            let endpoint = match &config.endpoint {
                Endpoint::Vhost { socket, role: Role::Server } => {
                    format!("listening at {}", socket.display())
                }
                Endpoint::Vhost { socket, role: Role::Client } => {
                    format!("connecting to {}", socket.display())
                }
                Endpoint::Device(device) => format!("device {device}"),
            };
            let down = if config.up { "" } else { "  down" };
            lines.push(format!(
                "link   {:<12} {:<7} on {}  {}  {endpoint}{down}",
                config.name, config.mode, config.lower, config.address
            ));
        }
    }
    lines
}
