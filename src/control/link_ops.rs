//! The operations on links: add, set, delete.
//!
//! Run on the control thread. Each one checks everything first, then publishes
//! once; what is refused leaves the state as it was. Words, defaults and errno
//! names are the kernel's, except that a link added here is in bridge mode
//! unless it says otherwise.

use std::path::PathBuf;

use macvlan::mac::MacAddr;
use macvlan::mode::Mode;
use macvlan::rules::CompileError;
use mvctl::proto::{LinkAdd, LinkSet, Request, RpcError};
use serde_json::{Value, json};

use super::registry::Link;
use super::{Control, Outcome, compile, show};
use crate::config::{self, Endpoint, LinkConfig, Role};

/// What a request that was carried out is answered with, and when.
pub(super) enum Answer {
    /// At once.
    Now(Value),
    /// When no port has this socket or device any more.
    AfterEnd { resource: String, result: Value },
}

impl Control {
    /// Carries out a request.
    pub(super) fn carry_out(&mut self, request: &Request) -> Outcome<Answer> {
        match request {
            Request::LinkShow(which) => {
                show::links(&self.registry, which.name.as_deref()).map(Answer::Now)
            }
            Request::LinkAdd(link) => self.link_add(link).map(Answer::Now),
            Request::LinkSet(change) => self.link_set(change).map(Answer::Now),
            Request::LinkDel(link) => self.link_del(&link.name),
        }
    }

    fn link_add(&mut self, request: &LinkAdd) -> Outcome<Value> {
        let link = self.resolve(request)?;
        let name = link.name.clone();
        self.open_link(link)?;
        if let Err(error) = self.publish() {
            self.forget_link(&name);
            return Err(error);
        }
        tracing::info!(link = %name, "link added");
        Ok(json!({ "name": name }))
    }

    /// Fills in what the request leaves out and checks what it says.
    fn resolve(&self, request: &LinkAdd) -> Outcome<LinkConfig> {
        let LinkAdd { name, link, mode, address, mtu, up, .. } = request;
        config::check_name(name).map_err(RpcError::einval)?;
        let Some(lower) = self.registry.lower(link) else {
            let lowers: Vec<&str> =
                self.registry.lowers.iter().map(|lower| &*lower.config.name).collect();
            let lowers = lowers.join(", ");
            return Err(RpcError::enodev(format!("there is no lower {link}: there are {lowers}")));
        };
        let mode = match mode {
            Some(word) => config::parse_mode(word).map_err(RpcError::einval)?,
            None => Mode::Bridge,
        };
        let taken = |mac| self.registry.links.values().any(|link| link.config.address == mac);
        let address = match address.as_deref() {
            None | Some("auto") => config::auto_address(&self.switch, link, name, taken),
            Some(text) => parse_address(text)?,
        };
        let most = lower.config.mtu;
        let mtu = i64::from(mtu.unwrap_or(most));
        let mtu = config::check_mtu(mtu, most, &format!(", the mtu of {link}"))
            .map_err(RpcError::einval)?;
        let endpoint = self.endpoint(request).map_err(RpcError::einval)?;
        let up = up.unwrap_or(true);
        Ok(LinkConfig { name: name.clone(), lower: link.clone(), mode, address, mtu, up, endpoint })
    }

    fn endpoint(&self, request: &LinkAdd) -> Result<Endpoint, String> {
        let LinkAdd { name, socket, role, device, .. } = request;
        match (socket, device) {
            (Some(_), Some(_)) => Err("a link has a socket or a device, not both".to_owned()),
            (None, Some(_)) if role.is_some() => {
                Err("role goes with socket, not with device".to_owned())
            }
            (None, Some(device)) => {
                config::check_link_device(device)?;
                Ok(Endpoint::Device(device.clone()))
            }
            (socket, None) => {
                let socket =
                    socket.as_ref().map_or_else(|| config::default_socket(name), PathBuf::from);
                let role = role.as_deref().map_or(Ok(Role::Server), config::parse_role)?;
                let socket = config::check_socket_path(&self.opener.runtime_dir, &socket)?;
                Ok(Endpoint::Vhost { socket, role })
            }
        }
    }

    /// Opens the port of a link and enters it into the registry, from which the
    /// next publication takes it.
    pub(super) fn open_link(&mut self, link: LinkConfig) -> Outcome<()> {
        if self.registry.links.contains_key(&link.name) || self.registry.lower(&link.name).is_some()
        {
            return Err(RpcError::eexist(format!("{} exists already", link.name)));
        }
        if link.up {
            self.check_clash(&link)?;
        }
        let resource = resource(&link.endpoint);
        let holder = self
            .registry
            .links
            .values()
            .find(|other| self::resource(&other.config.endpoint) == resource);
        if let Some(holder) = holder {
            return Err(RpcError::eaddrinuse(format!(
                "{resource} belongs to link {}",
                holder.config.name
            )));
        }
        if self.publisher.is_closing(&resource) {
            return Err(RpcError::ebusy(format!("{resource} is still being closed: try again")));
        }
        let id = self.registry.next_id();
        let (port, dirty) = self.opener.link(&link, id).map_err(RpcError::eio)?;
        let worker = self.registry.least_loaded(self.publisher.worker_count());
        let Some(lower) = self.registry.lower_mut(&link.lower) else {
            return Err(RpcError::enodev(format!("there is no lower {}", link.lower)));
        };
        lower.links.push(link.name.clone());
        let name = link.name.clone();
        let link = Link::new(id, link, port, dirty, worker);
        link.watch_device(self.publisher.workers());
        self.registry.links.insert(name, link);
        Ok(())
    }

    /// ER-22: a link that goes up has an address of its own.
    fn check_clash(&self, link: &LinkConfig) -> Outcome<()> {
        let clash = self.registry.links.values().find(|other| {
            let other = &other.config;
            other.up
                && other.lower == link.lower
                && other.address == link.address
                && other.name != link.name
        });
        match clash {
            Some(other) => Err(RpcError::eaddrinuse(format!(
                "address {} belongs to link {}, which is up",
                link.address, other.config.name
            ))),
            None => Ok(()),
        }
    }

    fn link_set(&mut self, request: &LinkSet) -> Outcome<Value> {
        let LinkSet { name, mode, up } = request;
        let Some(link) = self.registry.links.get(name) else { return Err(no_link(name)) };
        let before = link.config.clone();
        let mut after = before.clone();
        if let Some(word) = mode {
            after.mode = config::parse_mode(word).map_err(RpcError::einval)?;
        }
        if let Some(up) = up {
            after.up = *up;
        }
        if after.up && !before.up {
            self.check_clash(&after)?;
        }
        self.set_config(name, after);
        if let Err(error) = self.publish() {
            self.set_config(name, before);
            return Err(error);
        }
        Ok(json!({ "name": name }))
    }

    fn set_config(&mut self, name: &str, config: LinkConfig) {
        if let Some(link) = self.registry.links.get_mut(name) {
            link.config = config;
        }
    }

    fn link_del(&mut self, name: &str) -> Outcome<Answer> {
        let Some(link) = self.registry.links.get(name) else { return Err(no_link(name)) };
        let resource = resource(&link.config.endpoint);
        self.forget_link(name);
        // Removing a link cannot make two others clash.
        self.publish()?;
        tracing::info!(link = %name, "link deleted");
        Ok(Answer::AfterEnd { resource, result: json!({ "name": name }) })
    }

    /// Takes a link out of the registry; its port closes with the last plan
    /// that names it.
    fn forget_link(&mut self, name: &str) {
        let Some(mut link) = self.registry.links.remove(name) else { return };
        if let Some(lower) = self.registry.lower_mut(&link.config.lower) {
            lower.links.retain(|other| other != name);
        }
        link.unwatch(self.publisher.workers());
        self.publisher.close_later(resource(&link.config.endpoint), &link.port);
    }

    /// Compiles the registry and makes it what the workers execute.
    pub(super) fn publish(&mut self) -> Outcome<()> {
        let plan = compile::plan(&self.registry, self.publisher.worker_count());
        let plan = plan.map_err(|error| match error {
            CompileError::Clash { .. } => RpcError::eaddrinuse(error.to_string()),
            CompileError::Address { .. } => RpcError::eaddrnotavail(error.to_string()),
            CompileError::TooMany => RpcError::enospc(error.to_string()),
        })?;
        self.publisher.publish(plan);
        self.registry.refresh_inventory(self.publisher.workers());
        Ok(())
    }
}

/// What two links cannot both have: the socket's path or the device's name.
fn resource(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Vhost { socket, .. } => socket.display().to_string(),
        Endpoint::Device(device) => config::device_name(device).to_owned(),
    }
}

fn no_link(name: &str) -> RpcError {
    RpcError::enoent(format!("there is no link {name}"))
}

/// ER-01 for what is no address, ER-02 for one that no link can have.
fn parse_address(text: &str) -> Outcome<MacAddr> {
    let malformed = text.parse::<MacAddr>().is_err();
    let error = if malformed { RpcError::einval } else { RpcError::eaddrnotavail };
    config::parse_address(text).map_err(error)
}
