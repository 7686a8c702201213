//! The second phase: from what the file says to a config that cannot be wrong.
//!
//! Fills in defaults, applies [`super::rules`] and the rules between sections,
//! and stops at the first thing that is wrong. Called by [`Config::parse`]
//! alone.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use macvlan::mac::MacAddr;
use toml::Spanned;

use super::error::{ConfigError, Source};
use super::raw::{Raw, RawCores, RawEal, RawLink, RawLower, RawMetrics, RawSwitch};
use super::{
    Config, Cores, EalConfig, Endpoint, Idle, LinkConfig, LowerConfig, Memory, Origin, Role,
    Switch, cores, rules,
};

type Result<T> = std::result::Result<T, ConfigError>;
type Span = Range<usize>;

/// Largest `memory_mb`: one TiB.
const MEMORY_MB_MAX: u32 = 1 << 20;

pub(super) fn config(source: Source<'_>) -> Result<Config> {
    let raw: Raw = toml::from_str(source.text).map_err(|error| source.toml_error(&error))?;
    let switch = source.switch(raw.switch)?;
    let cores = source.cores(&raw.cores)?;
    let eal = source.eal(raw.eal)?;
    let metrics = raw.metrics.map(|metrics| source.metrics(&metrics)).transpose()?;
    if raw.lower.is_empty() {
        let end = source.text.len()..source.text.len();
        let message = "the config has no lower; write a section [[lower]] with name = \"lan0\" and device = \"demo\"";
        return Err(source.error(&end, message));
    }
    let mut sections = Sections::new(source, &switch.name);
    for lower in raw.lower {
        sections.lower(lower)?;
    }
    for link in raw.macvlan {
        sections.link(link)?;
    }
    sections.derive_addresses();
    let Sections { lowers, links, origin, .. } = sections;
    Ok(Config { switch, cores, eal, metrics, lowers, links, origin })
}

/// Sections that stand alone.
impl Source<'_> {
    /// Puts the place of a value to what is wrong with it.
    fn at<T>(&self, span: &Span, result: std::result::Result<T, String>) -> Result<T> {
        result.map_err(|message| self.error(span, &message))
    }

    /// A value that may be left out, read by its rule.
    fn value<T, U>(
        &self,
        value: Option<&Spanned<T>>,
        rule: impl FnOnce(&T) -> std::result::Result<U, String>,
    ) -> Result<Option<U>> {
        value.map(|value| self.at(&value.span(), rule(value.get_ref()))).transpose()
    }

    fn switch(&self, raw: RawSwitch) -> Result<Switch> {
        self.value(raw.name.as_ref(), |name| rules::check_name(name))?;
        let name = raw.name.map(Spanned::into_inner);
        let runtime_dir = self.value(raw.runtime_dir.as_ref(), |text| match Path::new(text) {
            path if path.is_absolute() && !text.contains('\0') => Ok(path.to_owned()),
            _ => Err(format!(
                "runtime_dir \"{text}\" is not absolute; write one such as \"/run/mvswitch\""
            )),
        })?;
        Ok(Switch { name: name.unwrap_or_else(|| name_of(self.file)), runtime_dir })
    }

    fn cores(&self, raw: &RawCores) -> Result<Cores> {
        let number = |core: &i64| rules::check_number("core", *core, cores::CORES);
        let control = self.value(raw.control.as_ref(), number)?.unwrap_or(0);
        let workers =
            self.value(raw.workers.as_ref(), |text| cores::parse_workers(text, control))?.flatten();
        let idle =
            self.value(raw.idle.as_ref(), |word| rules::parse_idle(word))?.unwrap_or(Idle::Auto);
        Ok(Cores { control, workers, idle })
    }

    fn eal(&self, raw: RawEal) -> Result<EalConfig> {
        let memory = self.value(raw.memory.as_ref(), |word| rules::parse_memory(word))?;
        let memory = memory.unwrap_or(Memory::Auto);
        let number = |mb: &i64| rules::check_number("memory_mb", *mb, 1..=MEMORY_MB_MAX);
        let memory_mb = self.value(raw.memory_mb.as_ref(), number)?;
        for arg in &raw.args {
            self.at(&arg.span(), super::check_eal_arg(memory, arg.get_ref()))?;
        }
        let args = raw.args.into_iter().map(Spanned::into_inner).collect();
        Ok(EalConfig { memory, memory_mb, args })
    }

    fn metrics(&self, raw: &Spanned<RawMetrics>) -> Result<SocketAddr> {
        let advice = "write an IP address and a port such as listen = \"127.0.0.1:9477\"";
        let listen = self.value(raw.get_ref().listen.as_ref(), |text| {
            text.parse().map_err(|_| format!("\"{text}\" is not an address to listen on; {advice}"))
        })?;
        listen.ok_or_else(|| self.error(&raw.span(), &format!("metrics without listen; {advice}")))
    }
}

/// The file's name as a switch's: what a name cannot have becomes a hyphen.
fn name_of(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    let letters = stem.chars().map(|letter| if plain(letter) { letter } else { '-' });
    let name: String = letters.skip_while(|letter| *letter == '.').take(32).collect();
    if name.is_empty() { "mvswitch".to_owned() } else { name }
}

/// Values of which there may be one each, and who has them.
#[derive(Debug)]
struct Taken<K>(HashMap<K, String>);

impl<K: Hash + Eq> Taken<K> {
    fn new() -> Self {
        Self(HashMap::new())
    }

    /// Notes the owner, or names the one before.
    fn claim(&mut self, key: K, owner: String) -> std::result::Result<(), String> {
        match self.0.get(&key) {
            Some(before) => Err(before.clone()),
            None => {
                self.0.insert(key, owner);
                Ok(())
            }
        }
    }
}

/// Lowers and links, which must not clash with one another.
#[derive(Debug)]
struct Sections<'a> {
    source: Source<'a>,
    switch: &'a str,
    lowers: Vec<LowerConfig>,
    links: Vec<LinkConfig>,
    origin: Origin,
    /// Links, by index, whose address is still to be derived.
    automatic: Vec<usize>,
    names: Taken<String>,
    devices: Taken<String>,
    sockets: Taken<PathBuf>,
    addresses: Taken<(String, MacAddr)>,
}

impl<'a> Sections<'a> {
    fn new(source: Source<'a>, switch: &'a str) -> Self {
        Self {
            source,
            switch,
            lowers: Vec::new(),
            links: Vec::new(),
            origin: Origin { file: source.file.to_owned(), sockets: Vec::new() },
            automatic: Vec::new(),
            names: Taken::new(),
            devices: Taken::new(),
            sockets: Taken::new(),
            addresses: Taken::new(),
        }
    }

    /// A name that nothing else has, and its place.
    fn name(
        &mut self,
        kind: &str,
        value: Option<Spanned<String>>,
        section: &Span,
    ) -> Result<(String, Span)> {
        let source = self.source;
        let Some(value) = value else {
            let example = if kind == "lower" { "lan0" } else { "mv0" };
            let message = format!(
                "{kind} without a name; write name = \"{example}\" or another below this line"
            );
            return Err(source.error(section, &message));
        };
        let (span, name) = (value.span(), value.into_inner());
        source.at(&span, rules::check_name(&name))?;
        let line = source.position(&span).line;
        let claimed = self.names.claim(name.clone(), format!("a {kind} on line {line}"));
        let claimed = claimed
            .map_err(|owner| format!("name \"{name}\" is that of {owner} already; choose another"));
        source.at(&span, claimed)?;
        Ok((name, span))
    }

    /// A device that nothing else has. Any number of demo wires can be.
    fn device(&mut self, owner: &str, device: &Spanned<String>) -> Result<()> {
        let name = rules::device_name(device.get_ref());
        if name == "demo" {
            return Ok(());
        }
        // PCI addresses are the same in either case; drivers' names are lower
        // case anyhow.
        let claimed = self
            .devices
            .claim(name.to_ascii_lowercase(), owner.to_owned())
            .map_err(|before| format!("device {name} is that of {before} already; name another"));
        self.source.at(&device.span(), claimed)
    }

    fn lower(&mut self, raw: Spanned<RawLower>) -> Result<()> {
        let (section, source) = (raw.span(), self.source);
        let raw = raw.into_inner();
        let (name, _) = self.name("lower", raw.name, &section)?;
        let Some(device) = raw.device else {
            let message = format!(
                "lower {name} has no device; write device = \"demo\", a PCI address such as \"0000:8a:00.0\", \
                 or a DPDK device such as \"net_af_packet0,iface=eth0\""
            );
            return Err(source.error(&section, &message));
        };
        source.at(&device.span(), rules::check_device(device.get_ref()))?;
        self.device(&format!("lower {name}"), &device)?;
        let mtu =
            source.value(raw.mtu.as_ref(), |mtu| rules::check_mtu(*mtu, rules::MAX_MTU, ""))?;
        let device = device.into_inner();
        self.lowers.push(LowerConfig {
            name,
            device: super::LowerDevice::Device(device),
            mtu: mtu.unwrap_or(rules::DEFAULT_MTU),
            address: None,
            up: true,
            private_strict: false,
            drop_link_local: false,
            host: None,
        });
        Ok(())
    }

    fn link(&mut self, raw: Spanned<RawLink>) -> Result<()> {
        let (section, source) = (raw.span(), self.source);
        let mut raw = raw.into_inner();
        let (name, name_span) = self.name("link", raw.name.take(), &section)?;
        let lower = self.lower_of(&name, raw.link.as_ref(), &section)?.clone();
        let mode = source.value(raw.mode.as_ref(), |word| rules::parse_mode(word))?;
        let mode = mode.unwrap_or(macvlan::mode::Mode::Bridge);
        let address = self.address(&name, &lower.name, raw.address.as_ref())?;
        let reason = format!(" (that of lower {})", lower.name);
        let mtu =
            source.value(raw.mtu.as_ref(), |mtu| rules::check_mtu(*mtu, lower.mtu, &reason))?;
        let place = raw.socket.as_ref().map_or(name_span, Spanned::span);
        let endpoint = self.endpoint(&name, &raw, &place)?;
        let up = raw.up.is_none_or(Spanned::into_inner);
        self.origin.sockets.push(source.position(&place));
        let mtu = mtu.unwrap_or(lower.mtu);
        self.links.push(LinkConfig {
            name,
            lower: lower.name,
            mode,
            address,
            mtu,
            up,
            endpoint,
            flags: Default::default(),
            addresses: vec![],
            macaddr: vec![],
            bcqueuelen: 1000,
            bclim: None,
            promisc: false,
            allmulticast: true,
            multicast: vec![],
            spoof_check: false,
        });
        Ok(())
    }

    fn lower_of(
        &self,
        link: &str,
        value: Option<&Spanned<String>>,
        section: &Span,
    ) -> Result<&LowerConfig> {
        let names: Vec<&str> = self.lowers.iter().map(|lower| lower.name.as_str()).collect();
        let Some(value) = value else {
            let message =
                format!("link {link} has no lower; write link = one of {}", quoted(&names));
            return Err(self.source.error(section, &message));
        };
        let wanted = value.get_ref();
        let lower = self.lowers.iter().find(|lower| lower.name == *wanted);
        lower.ok_or_else(|| {
            let message = if self.links.iter().any(|link| link.name == *wanted) || wanted == link {
                format!(
                    "\"{wanted}\" is a link, and links are on lowers; write one of {}",
                    quoted(&names)
                )
            } else {
                format!("there is no lower \"{wanted}\"; write one of {}", quoted(&names))
            };
            self.source.error(&value.span(), &message)
        })
    }

    /// The address, or a placeholder until all explicit ones are known.
    fn address(
        &mut self,
        link: &str,
        lower: &str,
        value: Option<&Spanned<String>>,
    ) -> Result<MacAddr> {
        let source = self.source;
        let Some(value) = value.filter(|value| value.get_ref() != "auto") else {
            self.automatic.push(self.links.len());
            return Ok(MacAddr::ZERO);
        };
        let address = source.at(&value.span(), rules::parse_address(value.get_ref()))?;
        let claimed = self.addresses.claim((lower.to_owned(), address), link.to_owned());
        let claimed = claimed.map_err(|owner| {
            format!("address {address} is that of link {owner} on lower {lower} already; write another or \"auto\"")
        });
        source.at(&value.span(), claimed)?;
        Ok(address)
    }

    fn endpoint(&mut self, link: &str, raw: &RawLink, place: &Span) -> Result<Endpoint> {
        let source = self.source;
        if let Some(device) = &raw.device {
            for (key, value) in [("socket", &raw.socket), ("role", &raw.role)] {
                if let Some(value) = value {
                    let message = format!(
                        "link {link} has a device, so it has no {key}; leave one of the two out"
                    );
                    return Err(source.error(&value.span(), &message));
                }
            }
            source.at(&device.span(), rules::check_link_device(device.get_ref()))?;
            self.device(&format!("link {link}"), device)?;
            return Ok(Endpoint::Device(device.get_ref().clone()));
        }
        let role = source.value(raw.role.as_ref(), |word| rules::parse_role(word))?;
        let written = raw.socket.as_ref().map(|socket| PathBuf::from(socket.get_ref()));
        let socket = written.unwrap_or_else(|| rules::default_socket(link));
        source.at(place, rules::check_socket(&socket))?;
        let claimed =
            self.sockets.claim(rules::without_dots(&socket), link.to_owned()).map_err(|owner| {
                format!(
                    "socket \"{}\" is that of link {owner} already; choose another",
                    socket.display()
                )
            });
        source.at(place, claimed)?;
        Ok(Endpoint::Vhost { socket, role: role.unwrap_or(Role::Server) })
    }

    /// Gives addresses to the links that ask for one, once every explicit one
    /// is known: adding a link at the end never changes those before it.
    fn derive_addresses(&mut self) {
        for index in std::mem::take(&mut self.automatic) {
            let Some(link) = self.links.get_mut(index) else { continue };
            let taken = |address| self.addresses.0.contains_key(&(link.lower.clone(), address));
            link.address = rules::auto_address(self.switch, &link.lower, &link.name, taken);
            self.addresses.0.insert((link.lower.clone(), link.address), link.name.clone());
        }
    }
}

fn quoted(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    names.join(", ")
}
