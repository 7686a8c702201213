//! Scenarios for people: the commands that do the same, and the frames in hex.

use std::fmt::{self, Write as _};

use super::scenario::{Change, Data, Parent, Request, Scenario, Side, Step};

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "# seed {}; replay with MVSWITCH_SCENARIO=FILE, the JSON below in it",
            self.seed
        )?;
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        let json = serde_json::to_string(self).map_err(|_| fmt::Error)?;
        writeln!(f, "# {json}")
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wire(lower) => write!(f, "ext{lower}"),
            Self::Host(lower) => write!(f, "low{lower}"),
            Self::Link(link) => write!(f, "mv{link}"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddLower { lower } => write!(
                f,
                "ip link add low{lower} address {} type veth peer name ext{lower}; \
                 ip link set low{lower} up; ip link set ext{lower} up",
                super::scenario::lower_address(*lower)
            ),
            Self::RemoveLower { lower } => write!(f, "ip link del low{lower}"),
            Self::SetLower { lower, change } => match change {
                Change::Up(up) => write!(f, "ip link set low{lower} {}", updown(*up)),
                Change::Mtu(mtu) => write!(f, "ip link set low{lower} mtu {mtu}"),
                Change::Address(mac) => write!(f, "ip link set low{lower} address {mac}"),
            },
            Self::NewLink { link, parent, request } => {
                f.write_str("ip link add")?;
                match parent {
                    Parent::Lower(lower) => write!(f, " link low{lower}")?,
                    Parent::Link(other) => write!(f, " link mv{other}")?,
                    Parent::Loopback => f.write_str(" link lo")?,
                    Parent::Nothing => {}
                    Parent::Missing => f.write_str(" link if99999")?,
                }
                write!(f, " name mv{link}{request}")?;
                if request.data.is_none() { f.write_str(" type macvlan") } else { Ok(()) }
            }
            Self::SetLink { link, request } => write!(f, "ip link set mv{link}{request}"),
            Self::DelLink { link } => write!(f, "ip link del mv{link}"),
            Self::Fdb { link, add, replace, address } => {
                let verb = match (add, replace) {
                    (true, false) => "add",
                    (true, true) => "replace",
                    (false, _) => "del",
                };
                write!(f, "bridge fdb {verb} {address} dev mv{link} self permanent")
            }
            Self::Send { from, frame } => {
                let mut hex = String::new();
                for byte in frame.bytes(0) {
                    write!(hex, "{byte:02x}")?;
                }
                let head = hex.get(..88.min(hex.len())).unwrap_or_default();
                write!(f, "send on {from}: {} bytes {head}…", frame.len)
            }
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(address) = &self.address {
            write!(f, " address {}", hex(address))?;
        }
        if let Some(mtu) = self.mtu {
            write!(f, " mtu {mtu}")?;
        }
        if let Some(up) = self.up {
            write!(f, " {}", updown(up))?;
        }
        if let Some(on) = self.promisc {
            write!(f, " promisc {}", onoff(on))?;
        }
        if let Some(on) = self.allmulti {
            write!(f, " allmulticast {}", onoff(on))?;
        }
        self.data.as_ref().map_or(Ok(()), |data| write!(f, " type macvlan{data}"))
    }
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(mode) = self.mode {
            write!(f, " mode {}", mode_name(mode))?;
        }
        match self.flags {
            None => {}
            Some(0) => f.write_str(" flag null")?,
            Some(1) => f.write_str(" flag nopromisc")?,
            Some(2) => f.write_str(" flag nodst")?,
            Some(other) => write!(f, " flag {other:#x}")?,
        }
        match self.macaddr_mode {
            None => {}
            Some(0) => f.write_str(" macaddr add")?,
            Some(1) => f.write_str(" macaddr del")?,
            Some(2) => f.write_str(" macaddr flush")?,
            Some(3) => f.write_str(" macaddr set")?,
            Some(other) => write!(f, " macaddr #{other}")?,
        }
        if let Some(address) = &self.macaddr {
            write!(f, " {}", hex(address))?;
        }
        for (kind, address) in self.macaddr_data.iter().flatten() {
            match kind {
                4 => write!(f, " {}", hex(address))?,
                _ => write!(f, " #{kind}={}", hex(address))?,
            }
        }
        if let Some(count) = self.macaddr_count {
            write!(f, " #macaddr_count={count}")?;
        }
        if let Some(len) = self.bc_queue_len {
            write!(f, " bcqueuelen {len}")?;
        }
        if let Some(len) = self.bc_queue_len_used {
            write!(f, " #usedbcqueuelen={len}")?;
        }
        self.bc_cutoff.map_or(Ok(()), |limit| write!(f, " bclim {limit}"))
    }
}

pub(crate) fn mode_name(mode: u32) -> String {
    match mode {
        1 => "private".to_owned(),
        2 => "vepa".to_owned(),
        4 => "bridge".to_owned(),
        8 => "passthru".to_owned(),
        16 => "source".to_owned(),
        other => format!("#{other}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(":")
}

const fn updown(up: bool) -> &'static str {
    if up { "up" } else { "down" }
}

const fn onoff(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}
