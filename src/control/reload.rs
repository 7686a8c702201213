//! The config on a running switch: show, compare, apply, save.
//!
//! What runs is put into a config's words and compared with a file; the
//! difference is carried out as one transaction. A file that cannot be applied
//! as a whole changes nothing. Only the file that the switch was started with is
//! ever read or written here: clients bring the text of any other.

use std::path::{Path, PathBuf};
use std::time::Instant;

use macvlan::driver::{self, Event, HostPort};
use mvctl::proto::{
    self, ConfigApply, ConfigShow, Difference, HostAdd, HostSet, LowerSet, Request, RpcError, Saved,
};

use super::link_ops::find_link;
use super::registry::{Link, Lower};
use super::requests::Pending;
use super::transaction::{Hindrance, Transaction};
use super::{Control, DEFERRED, Outcome, Reply};
use crate::config::{
    self, Action, Change, Config, Edit, HostConfig, LinkConfig, LowerConfig, LowerDevice,
};

/// The file that the switch was started with.
pub(super) struct OwnFile {
    path: PathBuf,
    /// As it was read or written last.
    text: String,
}

impl OwnFile {
    pub(super) fn of(config: &Config) -> Self {
        let path = std::path::absolute(config.file());
        let path = path.unwrap_or_else(|_| config.file().to_owned());
        Self { path, text: config.text().to_owned() }
    }
}

impl Control {
    /// The config that would start the switch as it is now.
    pub(super) fn config_show(&self) -> ConfigShow {
        let file = self.file.path.display().to_string();
        let text = config::save(self.config.text(), &self.running(), &self.opener.runtime_dir);
        let wrong = self.understand(Some(&file), &text).err().map(|error| error.message);
        ConfigShow { file, text, wrong }
    }

    pub(super) fn config_diff(&self, file: Option<&str>, text: &str) -> Outcome<Difference> {
        let wanted = self.understand(file, text)?;
        Ok(difference(&config::diff(&self.running(), &wanted), false))
    }

    /// Writes the running state into the switch's own file.
    ///
    /// # Errors
    /// EBUSY: it was edited since it was read; EINVAL: no config can say what
    /// runs; EIO: it cannot be written.
    pub(super) fn config_save(&mut self) -> Outcome<Saved> {
        let shown = self.file.path.display().to_string();
        let failed = |error: std::io::Error| {
            let advice = "type mvctl config save FILE for another place";
            RpcError::eio(format!("cannot write {shown}: {error}; {advice}"))
        };
        let there = std::fs::read_to_string(&self.file.path).map_err(failed)?;
        if there != self.file.text {
            return Err(RpcError::ebusy(format!(
                "{shown} was edited since it was read: apply it first with \
                 mvctl config apply {shown}, or save to another file"
            )));
        }
        let text = config::save(&there, &self.running(), &self.opener.runtime_dir);
        // The driver lets links be what no file may say, and a lower may be the last to go.
        self.understand(Some(&shown), &text).map_err(|error| {
            let why = error.message;
            RpcError::einval(format!("what runs cannot be written as a config that starts: {why}"))
        })?;
        // A link to the file stays one.
        let path = std::fs::canonicalize(&self.file.path).map_err(failed)?;
        mvctl::files::replace(&path, &text).map_err(failed)?;
        self.file.text = text;
        Ok(Saved { file: shown })
    }

    /// Makes a config's text the state, as part of `change`.
    pub(super) fn config_apply(
        &mut self,
        change: &mut Transaction,
        request: &ConfigApply,
    ) -> Result<Difference, Hindrance> {
        let wanted = self.understand(request.file.as_deref(), &request.text)?;
        let changes = config::diff(&self.running(), &wanted);
        if request.dry_run {
            return Ok(difference(&changes, false));
        }
        refuse_restart(&changes)?;
        let answer = difference(&changes, true);
        self.clear_the_way(change, &changes)?;
        let mut steps = config::steps(changes);
        // Before the first is opened: what is opened and closed while another is waited for flaps.
        for resource in steps.iter().flat_map(opens) {
            self.is_closed(&resource)?;
        }
        let is_link = |step: &Change| matches!(step, Change::Link(edit) if edit.word() != "del");
        let links = steps.split_off(steps.iter().position(is_link).unwrap_or(steps.len()));
        for step in steps {
            self.carry_out(change, step, &wanted)?;
        }
        // A link may be given what its VLAN had of the carrier.
        self.addresses_follow(change)?;
        for step in links {
            self.carry_out(change, step, &wanted)?;
        }
        self.keep_down(change, &wanted)?;
        change.config = Some(wanted);
        Ok(answer)
    }

    /// SIGHUP: the switch's own file, read once.
    pub(super) fn reload(&mut self) {
        let file = self.file.path.display().to_string();
        match std::fs::read_to_string(&self.file.path) {
            Ok(text) => {
                let (file, (more, dry_run)) = (Some(file), (false, false));
                let apply = ConfigApply { file, text, more, dry_run };
                let request = Box::new(Request::ConfigApply(apply));
                let until = Instant::now() + DEFERRED;
                self.serve(Pending::new(request, Reply::Log, until));
            }
            Err(error) => tracing::error!("{file} cannot be read, nothing is changed: {error}"),
        }
    }

    /// Goes on from a config that was just applied.
    pub(super) fn adopt(&mut self, config: Config) {
        for link in &config.links {
            let index = self.registry.driver().by_name(&link.name);
            let port = index.and_then(|index| self.registry.links.get_mut(&index));
            if let Some(port) = port {
                port.random_address = link.random_address;
            }
        }
        for lower in &config.lowers {
            let index = self.registry.driver().by_name(&lower.name);
            if let Some(known) = index.and_then(|index| self.registry.lower_mut(index)) {
                known.config.up = lower.up;
            }
        }
        // What was applied last need not be what the file said last: it may be saved since.
        if config.text() != self.file.text {
            let given = std::fs::read_to_string(&self.file.path);
            if given.is_ok_and(|text| text == config.text()) {
                config.text().clone_into(&mut self.file.text);
            }
        }
        // Wherever it came from, what runs is saved into the switch's own file.
        self.config = config.of_file(&self.file.path);
    }

    fn understand(&self, file: Option<&str>, text: &str) -> Outcome<Config> {
        let wrong = |error: config::ConfigError| RpcError::einval(error.to_string());
        let file = Path::new(file.unwrap_or("config"));
        let config = Config::parse_for(&self.config.switch.name, text, file);
        let mut config = config.map_err(wrong)?;
        config.resolve_sockets(&self.opener.runtime_dir).map_err(wrong)?;
        Ok(config)
    }

    /// What runs, in a config's words.
    pub(super) fn running(&self) -> Config {
        let driver = self.registry.driver();
        let lowers = self.registry.lowers.iter();
        let lowers = lowers.filter_map(|lower| {
            let carrier = lower.carrier.and_then(|carrier| driver.lower(carrier));
            Some(running_lower(lower, driver.lower(lower.index)?, carrier))
        });
        let links = driver.links().filter_map(|facts| {
            let link = self.registry.links.get(&facts.index)?;
            Some(running_link(link, facts, driver.lower(facts.lower)?))
        });
        self.config.with(lowers.collect(), links.collect())
    }

    /// Links that get another address are down until all have theirs: two may
    /// exchange them. So are those that shall be. Nobody sees it.
    fn clear_the_way(&self, change: &mut Transaction, changes: &[Change]) -> Outcome<()> {
        for edit in changes {
            let Change::Link(edit) = edit else { continue };
            if ["address", "addresses", "up"].iter().any(|key| edit.has(key)) {
                let next = &mut change.next.driver;
                // The name may still be that of a lower which goes.
                if let Ok(index) = find_link(next, &edit.name).map(|link| link.index) {
                    self.set_down(next, index)?;
                }
            }
        }
        Ok(())
    }

    /// VLANs come up with what carries them, even those which the file wants down.
    fn keep_down(&self, change: &mut Transaction, wanted: &Config) -> Outcome<()> {
        for lower in wanted.lowers.iter().filter(|lower| !lower.up) {
            let index = Self::find_lower(change, &lower.name)?;
            if change.next.driver.lower(index).is_some_and(|lower| lower.spec.up) {
                self.event(change, index, &Event::Down)?;
            }
        }
        Ok(())
    }

    fn carry_out(
        &mut self,
        change: &mut Transaction,
        step: Change,
        wanted: &Config,
    ) -> Result<(), Hindrance> {
        match step {
            Change::Lower(edit) => self.edit_lower(change, &edit),
            Change::Host(edit) => self.edit_host(change, &edit),
            Change::Link(edit) => self.edit_link(change, edit, wanted),
            Change::Restart { .. } => Ok(()),
        }
    }

    fn edit_lower(
        &mut self,
        change: &mut Transaction,
        edit: &Edit<LowerConfig>,
    ) -> Result<(), Hindrance> {
        match &*edit.action {
            Action::Add(lower) => _ = self.add_lower(change, lower.clone())?,
            Action::Del(lower) => self.lower_del(change, &lower.name)?,
            Action::Set { to, .. } | Action::Replace { to, .. } => {
                let index = Self::find_lower(change, &to.name)?;
                // Up on a carrier that is down is a wish, as it is at the start.
                let can_be_up = self.check_carrier_is_up(change, index).is_ok();
                let request = LowerSet {
                    name: to.name.clone(),
                    up: edit.has("up").then_some(to.up).filter(|up| can_be_up || !up),
                    mtu: edit.has("mtu").then_some(to.mtu.into()),
                    address: to.address.filter(|_| edit.has("address")).map(|it| it.to_string()),
                    private_strict: Some(to.private_strict),
                    drop_link_local: Some(to.drop_link_local),
                };
                self.lower_set(change, &request)?;
            }
        }
        Ok(())
    }

    fn edit_host(
        &mut self,
        change: &mut Transaction,
        edit: &Edit<HostConfig>,
    ) -> Result<(), Hindrance> {
        let link = edit.name.clone();
        match &*edit.action {
            Action::Add(HostConfig { device, reachable }) => {
                let (device, reachable) = (device.clone(), Some(*reachable));
                self.host_add(change, &HostAdd { link, device, reachable })?;
            }
            Action::Del(_) => self.host_del(change, &link)?,
            Action::Set { to, .. } | Action::Replace { to, .. } => {
                self.host_set(change, &HostSet { link, reachable: Some(to.reachable) })?;
            }
        }
        Ok(())
    }

    fn edit_link(
        &mut self,
        change: &mut Transaction,
        edit: Edit<LinkConfig>,
        wanted: &Config,
    ) -> Result<(), Hindrance> {
        match *edit.action {
            Action::Add(mut link) => {
                let next = &change.next.driver;
                let lower = next.by_name(&link.lower);
                let is_first = lower.is_none_or(|lower| next.links_of(lower).next().is_none());
                let says = |other: &&LinkConfig| other.name == link.name && other.bclim.is_some();
                // Beside others it has theirs, which may be another by now.
                if !is_first && !wanted.links.iter().any(|other| says(&other)) {
                    link.bclim = None;
                }
                let link = self.configured(&change.next.driver, link);
                self.add_link(change, link)?;
            }
            Action::Del(link) => {
                let index = find_link(&change.next.driver, &link.name)?.index;
                self.delete_link(change, index)?;
            }
            Action::Set { ref to, .. } | Action::Replace { ref to, .. } => {
                let has = |key: &str| edit.keys.iter().any(|keyed| keyed.key == key);
                self.reconfigure(&mut change.next.driver, to, &has)?;
            }
        }
        Ok(())
    }
}

/// The socket or device that a step opens.
fn opens(step: &Change) -> Option<String> {
    if let Change::Link(edit) = step
        && let Action::Add(link) = &*edit.action
    {
        return Some(link.endpoint.resource());
    }
    if let Change::Host(edit) = step
        && let Action::Add(host) = &*edit.action
    {
        return Some(config::device_name(&host.device).to_owned());
    }
    if let Change::Lower(edit) = step
        && let Action::Add(lower) = &*edit.action
        && let LowerDevice::Device(device) = &lower.device
    {
        return Some(config::device_name(device).to_owned());
    }
    None
}

fn difference(changes: &[Change], applied: bool) -> Difference {
    Difference { changes: changes.iter().map(proto::Change::from).collect(), applied }
}

/// What counts at start only cannot be applied, nor can anything beside it.
fn refuse_restart(changes: &[Change]) -> Outcome<()> {
    let sections = changes.iter().filter_map(|change| match change {
        Change::Restart { section, keys } => Some((section, keys)),
        _ => None,
    });
    let keys = sections.flat_map(|(section, keys)| {
        keys.iter().map(move |keyed| {
            let (key, from, to) = (&keyed.key, &keyed.from, &keyed.to);
            let value = |text: &str| if text.is_empty() { "unset" } else { text }.to_owned();
            format!("[{section}] {key} from {} to {}", value(from), value(to))
        })
    });
    let keys: Vec<String> = keys.collect();
    if keys.is_empty() {
        return Ok(());
    }
    Err(RpcError::refused(
        "EOPNOTSUPP",
        format!("needs a start anew, so nothing was applied: {}", keys.join(", ")),
    ))
}

fn running_lower(
    lower: &Lower,
    facts: &driver::Lower,
    carrier: Option<&driver::Lower>,
) -> LowerConfig {
    let spec = &facts.spec;
    // A VLAN is down with what carries it, whatever was wished.
    let held_down = carrier.is_some_and(|carrier| !carrier.spec.up);
    LowerConfig {
        name: spec.name.clone(),
        device: lower.config.device.clone(),
        mtu: u16::try_from(spec.mtu).unwrap_or(config::MAX_MTU),
        address: lower.config.address.and(Some(spec.address)),
        up: if held_down { lower.config.up } else { spec.up },
        private_strict: spec.private_strict,
        drop_link_local: spec.drop_link_local,
        host: lower.host.as_ref().map(|host| HostConfig {
            device: host.config.device.clone(),
            reachable: spec.host == HostPort::Reachable,
        }),
    }
}

fn running_link(link: &Link, facts: &driver::Link, lower: &driver::Lower) -> LinkConfig {
    let list = |set: &std::collections::BTreeSet<_>| set.iter().copied().collect();
    LinkConfig {
        name: facts.name.clone(),
        lower: lower.spec.name.clone(),
        mode: facts.mode,
        flags: facts.flags,
        address: facts.address,
        random_address: link.random_address,
        addresses: list(&facts.addresses),
        macaddr: list(&facts.sources),
        bcqueuelen: facts.bc_queue_len,
        bclim: Some(lower.bc_cutoff()),
        mtu: u16::try_from(facts.mtu).unwrap_or(config::MAX_MTU),
        up: facts.up,
        promisc: facts.promisc,
        allmulticast: facts.allmulti,
        multicast: list(&facts.groups),
        spoof_check: facts.spoof_check,
        endpoint: link.endpoint.clone(),
    }
}
