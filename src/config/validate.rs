//! The second phase: from what the file says to a config that cannot be wrong.
//!
//! Fills in defaults, applies [`super::rules`] and the rules between sections,
//! and stops at the first thing that is wrong. Called by [`Config::parse`]
//! alone; lowers and links are in files of their own.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use macvlan::mac::MacAddr;

use super::error::{ConfigError, Source};
use super::raw::{Raw, RawControl, RawCores, RawEal, RawMetrics, RawSwitch, Spanned};
use super::{
    Config, ControlConfig, Cores, EalConfig, Idle, LinkConfig, LowerConfig, Memory, Origin, Switch,
    VlanProtocol, cores, rules,
};

pub(super) type Result<T> = std::result::Result<T, ConfigError>;
pub(super) type Span = Range<usize>;

/// Largest `memory_mb`: one TiB.
const MEMORY_MB_MAX: u32 = 1 << 20;

/// Sections of one kind: more than any machine can serve, and few enough that
/// each may be compared with each.
const MOST: usize = 8192;

pub(super) fn config(source: Source<'_>) -> Result<Config> {
    let raw: Raw = toml::from_str(source.text).map_err(|error| source.toml_error(&error))?;
    source.not_too_many("lower", &raw.lower)?;
    source.not_too_many("macvlan", &raw.macvlan)?;
    let switch = source.switch(raw.switch)?;
    let cores = source.cores(&raw.cores)?;
    let eal = source.eal(raw.eal)?;
    let metrics = raw.metrics.map(|metrics| source.metrics(&metrics)).transpose()?;
    let control = source.control(&raw.control)?;
    if raw.lower.is_empty() {
        let end = source.text.len()..source.text.len();
        let message = "the config has no lower; write a section [[lower]] with name = \"lan0\" and device = \"demo\"";
        return Err(source.error(&end, message));
    }
    let mut sections = Sections::new(source, &switch.name);
    for lower in raw.lower {
        sections.lower(lower)?;
    }
    for host in raw.host {
        sections.host(host)?;
    }
    for link in raw.macvlan {
        sections.link(link)?;
    }
    sections.derive_addresses();
    let Sections { lowers, links, origin, .. } = sections;
    Ok(Config { switch, cores, eal, metrics, control, lowers, links, origin })
}

/// Sections that stand alone.
impl Source<'_> {
    /// Puts the place of a value to what is wrong with it.
    pub(super) fn at<T>(&self, span: &Span, result: std::result::Result<T, String>) -> Result<T> {
        result.map_err(|message| self.error(span, &message))
    }

    fn not_too_many<T>(&self, kind: &str, sections: &[Spanned<T>]) -> Result<()> {
        let Some(first) = sections.get(MOST) else { return Ok(()) };
        let message = format!("there can be {MOST} sections [[{kind}]]; this is one more");
        Err(self.error(&first.span(), &message))
    }

    /// A value that may be left out, read by its rule.
    pub(super) fn value<T, U>(
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
        let unnamed = || self.name.map_or_else(|| name_of(self.file), str::to_owned);
        Ok(Switch { name: name.unwrap_or_else(unnamed), runtime_dir })
    }

    fn cores(&self, raw: &RawCores) -> Result<Cores> {
        let number = |core: &i64| rules::check_number("core", *core, cores::CORES);
        let control = self.value(raw.control.as_ref(), number)?.unwrap_or(0);
        let workers =
            self.value(raw.workers.as_ref(), |text| cores::parse_workers(text))?.flatten();
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

    fn control(&self, raw: &RawControl) -> Result<ControlConfig> {
        let account = |key, value: &Option<Spanned<String>>| {
            self.value(value.as_ref(), |text| rules::check_account(key, text))
        };
        Ok(ControlConfig {
            owner: account("owner", &raw.owner)?,
            group: account("group", &raw.group)?,
            read_group: account("read_group", &raw.read_group)?,
        })
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
pub(super) fn name_of(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    let letters = stem.chars().map(|letter| if plain(letter) { letter } else { '-' });
    let name: String = letters.skip_while(|letter| *letter == '.').take(32).collect();
    if name.is_empty() { "mvswitch".to_owned() } else { name }
}

/// Values of which there may be one each, and who has them.
#[derive(Debug)]
pub(super) struct Taken<K>(HashMap<K, String>);

impl<K: Hash + Eq> Taken<K> {
    pub(super) fn new() -> Self {
        Self(HashMap::new())
    }

    pub(super) fn has(&self, key: &K) -> bool {
        self.0.contains_key(key)
    }

    /// Notes the owner, or names the one before.
    pub(super) fn claim(&mut self, key: K, owner: String) -> std::result::Result<(), String> {
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
pub(super) struct Sections<'a> {
    pub(super) source: Source<'a>,
    pub(super) switch: &'a str,
    pub(super) lowers: Vec<LowerConfig>,
    pub(super) links: Vec<LinkConfig>,
    pub(super) origin: Origin,
    /// Links, by index, whose address is still to be derived.
    pub(super) automatic: Vec<usize>,
    pub(super) names: Taken<String>,
    pub(super) devices: Taken<String>,
    pub(super) sockets: Taken<PathBuf>,
    pub(super) addresses: Taken<(String, MacAddr)>,
    pub(super) vlans: Taken<(String, VlanProtocol, u16)>,
}

impl<'a> Sections<'a> {
    fn new(source: Source<'a>, switch: &'a str) -> Self {
        Self {
            source,
            switch,
            lowers: Vec::new(),
            links: Vec::new(),
            origin: Origin {
                file: source.file.to_owned(),
                text: source.text.to_owned(),
                sockets: Vec::new(),
            },
            automatic: Vec::new(),
            names: Taken::new(),
            devices: Taken::new(),
            sockets: Taken::new(),
            addresses: Taken::new(),
            vlans: Taken::new(),
        }
    }

    /// A name that nothing else has, and its place.
    pub(super) fn name(
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
    pub(super) fn device(&mut self, owner: &str, device: &Spanned<String>) -> Result<()> {
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
}

/// Names as a sentence lists them.
pub(super) fn quoted(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    names.join(", ")
}
