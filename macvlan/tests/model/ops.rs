//! The naive model's operations: the error table, row by row, in the kernel's
//! order of checks.
//!
//! Every operation works on a copy that replaces the state if all went well.

use super::state::{Data, Errno, Event, Kind, Link, Lower, Mac, Mode, Model, Request};

type Outcome = Result<(), Errno>;

impl Model {
    pub(crate) fn add_lower(&mut self, lower: Lower) -> Outcome {
        if self.exists(&lower.name) {
            return Err("EEXIST");
        }
        self.lowers.push(lower);
        Ok(())
    }

    /// `random` is the address of a link that asks for none.
    pub(crate) fn newlink(&mut self, request: &Request, random: Mac) -> Outcome {
        let mut next = self.clone();
        next.try_newlink(request, random)?;
        *self = next;
        Ok(())
    }

    pub(crate) fn setlink(&mut self, name: &str, request: &Request) -> Outcome {
        let mut next = self.clone();
        next.try_setlink(name, request)?;
        *self = next;
        Ok(())
    }

    pub(crate) fn dellink(&mut self, name: &str) -> Outcome {
        let link = self.link(name).ok_or("ENODEV")?;
        let (lower, passthru) = (link.lower.clone(), link.mode == Mode::Passthru);
        self.links.retain(|link| link.name != name);
        if passthru {
            // LC-19, MA-03.
            let lower = self.lower_mut(&lower);
            lower.address = lower.address_to_restore;
        }
        Ok(())
    }

    pub(crate) fn fdb_add(&mut self, name: &str, mac: Mac, replace: bool) -> Outcome {
        let list = self.fdb_list(name, mac)?;
        // ER-28.
        if replace {
            return Err("EOPNOTSUPP");
        }
        // ER-29.
        if list.contains(&mac) {
            return Err("EEXIST");
        }
        list.push(mac);
        Ok(())
    }

    pub(crate) fn fdb_del(&mut self, name: &str, mac: Mac) -> Outcome {
        let list = self.fdb_list(name, mac)?;
        if !list.contains(&mac) {
            return Err("ENOENT");
        }
        list.retain(|other| *other != mac);
        Ok(())
    }

    /// Section 7. Answers with the links that announce themselves.
    pub(crate) fn notify(&mut self, device: &str, event: &Event) -> Result<Vec<String>, Errno> {
        // NT-10.
        if self.lower(device).is_none() {
            return Ok(vec![]);
        }
        let has_links = !self.links_of(device).is_empty();
        let passthru = self.is_passthru(device);
        match event {
            // NT-01.
            Event::Up => self.lower_mut(device).up = true,
            Event::Down => self.lower_mut(device).up = false,
            Event::Carrier(carrier) => self.lower_mut(device).carrier = *carrier,
            // NT-03.
            Event::Mtu(mtu) => {
                self.lower_mut(device).mtu = *mtu;
                for link in self.links.iter_mut().filter(|link| link.lower == device) {
                    if link.mtu > *mtu {
                        link.mtu = *mtu;
                    }
                }
            }
            // NT-05: the link follows, and it is the address to restore.
            Event::Address(mac) if passthru => {
                let lower = self.lower_mut(device);
                (lower.address, lower.address_to_restore) = (*mac, *mac);
                for link in self.links.iter_mut().filter(|link| link.lower == device) {
                    link.address = *mac;
                }
            }
            Event::Address(mac) => {
                // NT-04 is a defect that is refused here (section 13.2).
                if self.links_of(device).iter().any(|link| link.up && link.has_address(*mac)) {
                    return Err("EADDRINUSE");
                }
                self.lower_mut(device).address = *mac;
            }
            // NT-08: NOTIFY_BAD is EPERM.
            Event::TypeChange if has_links => return Err("EPERM"),
            // NT-09: an announcement is a frame, which a link that is down
            // cannot send.
            Event::NotifyPeers | Event::Failover | Event::ResendIgmp => {
                let links = self.links_of(device).into_iter().filter(|link| link.up);
                return Ok(links.map(|link| link.name.clone()).collect());
            }
            // NT-06.
            Event::Unregister => {
                self.links.retain(|link| link.lower != device);
                self.lowers.retain(|lower| lower.name != device);
            }
            Event::Register | Event::Features | Event::TypeChange => {}
        }
        Ok(vec![])
    }

    fn try_newlink(&mut self, request: &Request, random: Mac) -> Outcome {
        validate(request)?;
        let name = request.name.clone().unwrap_or_default();
        // ER-21.
        if self.exists(&name) {
            return Err("EEXIST");
        }
        // ER-15: the core's own check of the new device.
        if request.mtu.is_some_and(|mtu| !(68..=65535).contains(&mtu)) {
            return Err("EINVAL");
        }
        // ER-12, LC-11, ER-13.
        let parent = request.parent.clone().ok_or("EINVAL")?;
        let lower = self.link(&parent).map_or(parent, |link| link.lower.clone());
        let device = self.lower(&lower).ok_or("ENODEV")?.clone();
        // LC-12, ER-14.
        let mtu = request.mtu.unwrap_or(device.mtu);
        if mtu > device.mtu {
            return Err("EINVAL");
        }
        if self.links_of(&lower).is_empty() {
            // LC-18, ER-16, ER-17.
            if device.kind != Kind::Ethernet {
                return Err("EINVAL");
            }
            if device.owned {
                return Err("EBUSY");
            }
            let device = self.lower_mut(&lower);
            device.address_to_restore = device.address;
            device.bclim = 1;
        }
        // ER-19.
        if self.is_passthru(&lower) {
            return Err("EINVAL");
        }
        let data = request.data.clone().unwrap_or_default();
        // LC-16.
        let mode = data.mode.map_or(Some(Mode::Vepa), mode_of).ok_or("EINVAL")?;
        // ER-20.
        if mode == Mode::Passthru && !self.links_of(&lower).is_empty() {
            return Err("EINVAL");
        }
        let flags = data.flags.unwrap_or(0);
        let mut link = Link {
            name: name.clone(),
            lower: lower.clone(),
            mode,
            nopromisc: flags & 1 != 0,
            nodst: flags & 2 != 0,
            // LC-13.
            address: request.address.as_deref().map_or(random, six),
            further: vec![],
            mtu,
            up: false,
            promisc: false,
            allmulti: false,
            groups: vec![],
            filter: vec![],
            listed: vec![],
            bcqueuelen: data.bcqueuelen.unwrap_or(1000),
            spoof_check: false,
        };
        // LC-15.
        if mode == Mode::Passthru {
            link.address = device.address;
        }
        change_list(&mut link, &data)?;
        // An extension: several addresses. As with the first, a clash does not
        // matter before the link goes up (LC-14).
        if let Some(further) = &request.further {
            link.further = valid(further)?;
        }
        link.spoof_check = request.spoof_check.unwrap_or(false);
        self.links.push(link);
        if let Some(bclim) = data.bclim {
            self.lower_mut(&lower).bclim = bclim;
        }
        self.change_flags(&name, request)
    }

    fn try_setlink(&mut self, name: &str, request: &Request) -> Outcome {
        // The kind checks what is said to be for the kind.
        if request.data.is_some() {
            validate(request)?;
        }
        let link = self.link(name).ok_or("ENODEV")?.clone();
        if let Some(data) = &request.data {
            self.changelink(name, data)?;
        }
        if let Some(further) = &request.further {
            let further = valid(further)?;
            // As for the first address: ER-26 for those it has, else ER-24.
            for mac in further.iter().filter(|mac| !link.has_address(**mac)) {
                self.check_clash(name, *mac)?;
            }
            self.link_mut(name).further = further;
        }
        if let Some(check) = request.spoof_check {
            self.link_mut(name).spoof_check = check;
        }
        if let Some(bytes) = &request.address {
            // The core demands the device's length at least, and uses that much.
            if bytes.len() < 6 {
                return Err("EINVAL");
            }
            self.set_address(name, six(bytes))?;
        }
        if let Some(mtu) = request.mtu {
            self.set_mtu(name, mtu)?;
        }
        self.change_flags(name, request)
    }

    fn changelink(&mut self, name: &str, data: &Data) -> Outcome {
        let lower = self.link(name).ok_or("ENODEV")?.lower.clone();
        if let Some(bclim) = data.bclim {
            self.lower_mut(&lower).bclim = bclim;
        }
        let link = self.link_mut(name);
        if let Some(mode) = data.mode.and_then(mode_of) {
            // LC-41.
            if (mode == Mode::Passthru) != (link.mode == Mode::Passthru) {
                return Err("EINVAL");
            }
            // LC-42.
            if link.mode == Mode::Source && mode != Mode::Source {
                link.listed.clear();
            }
            // LC-40.
            link.mode = mode;
        }
        if let Some(flags) = data.flags {
            link.nopromisc = flags & 1 != 0;
            link.nodst = flags & 2 != 0;
        }
        if let Some(length) = data.bcqueuelen {
            link.bcqueuelen = length;
        }
        change_list(link, data)
    }

    fn set_address(&mut self, name: &str, mac: Mac) -> Outcome {
        // ER-23.
        if !is_unicast(mac) {
            return Err("EADDRNOTAVAIL");
        }
        let link = self.link(name).ok_or("ENODEV")?.clone();
        // ER-26.
        if link.address == mac {
            return Ok(());
        }
        if link.mode == Mode::Passthru {
            // MA-02, MA-04; the address to restore stays (NT-05).
            self.lower_mut(&link.lower).address = mac;
        } else {
            // ER-24, ER-25.
            self.check_clash(name, mac)?;
        }
        self.link_mut(name).address = mac;
        Ok(())
    }

    fn set_mtu(&mut self, name: &str, mtu: u32) -> Outcome {
        let link = self.link(name).ok_or("ENODEV")?;
        if mtu == link.mtu {
            return Ok(());
        }
        // MT-01, MT-03, ER-14, ER-15.
        let lower = self.lower(&link.lower).ok_or("ENODEV")?;
        if mtu < 68 || mtu > lower.max_mtu || mtu > lower.mtu {
            return Err("EINVAL");
        }
        self.link_mut(name).mtu = mtu;
        Ok(())
    }

    fn change_flags(&mut self, name: &str, request: &Request) -> Outcome {
        let link = self.link(name).ok_or("ENODEV")?.clone();
        // ER-22; LC-31: a passthru link has no clash test.
        if request.up == Some(true) && !link.up && link.mode != Mode::Passthru {
            for mac in link.addresses() {
                self.check_clash(name, mac)?;
            }
        }
        let link = self.link_mut(name);
        link.up = request.up.unwrap_or(link.up);
        link.promisc = request.promisc.unwrap_or(link.promisc);
        link.allmulti = request.allmulti.unwrap_or(link.allmulti);
        Ok(())
    }

    /// ER-22, ER-24: the lower's address, and those of other links that are up.
    fn check_clash(&self, name: &str, mac: Mac) -> Outcome {
        let link = self.link(name).ok_or("ENODEV")?;
        let lower = self.lower(&link.lower).ok_or("ENODEV")?;
        if lower.address == mac && !self.is_passthru(&lower.name) {
            return Err("EADDRINUSE");
        }
        for sibling in self.links_of(&lower.name) {
            if sibling.name != name && sibling.up && sibling.has_address(mac) {
                return Err("EADDRINUSE");
            }
        }
        Ok(())
    }

    fn exists(&self, name: &str) -> bool {
        self.lower(name).is_some() || self.link(name).is_some()
    }

    fn lower_mut(&mut self, name: &str) -> &mut Lower {
        self.lowers.iter_mut().find(|lower| lower.name == name).unwrap()
    }

    fn link_mut(&mut self, name: &str) -> &mut Link {
        self.links.iter_mut().find(|link| link.name == name).unwrap()
    }

    /// ER-27.
    fn fdb_list(&mut self, name: &str, mac: Mac) -> Result<&mut Vec<Mac>, Errno> {
        let link = self.links.iter_mut().find(|link| link.name == name).ok_or("ENODEV")?;
        if mac[0] & 1 == 1 {
            Ok(&mut link.groups)
        } else if link.mode == Mode::Passthru {
            Ok(&mut link.filter)
        } else {
            Err("EOPNOTSUPP")
        }
    }
}

/// ER-01 to ER-09, in the order in which the kernel looks.
fn validate(request: &Request) -> Outcome {
    // The attribute policy comes before the kind's own check.
    if request.data.as_ref().is_some_and(|data| data.usedbcqueuelen.is_some()) {
        return Err("EINVAL");
    }
    if let Some(bytes) = &request.address {
        check_address(bytes)?;
    }
    let Some(data) = &request.data else { return Ok(()) };
    if data.flags.is_some_and(|flags| flags > 3) {
        return Err("EINVAL");
    }
    if data.mode.is_some_and(|mode| mode_of(mode).is_none()) {
        return Err("EINVAL");
    }
    if data.list_operation.is_some_and(|operation| operation > 3) {
        return Err("EINVAL");
    }
    if let Some(bytes) = &data.one {
        check_address(bytes)?;
    }
    for (attribute, bytes) in data.many.iter().flatten() {
        if *attribute != 4 {
            return Err("EINVAL");
        }
        check_address(bytes)?;
    }
    if data.count.is_some() {
        return Err("EINVAL");
    }
    Ok(())
}

fn check_address(bytes: &[u8]) -> Outcome {
    if bytes.len() != 6 {
        return Err("EINVAL");
    }
    if is_unicast(six(bytes)) { Ok(()) } else { Err("EADDRNOTAVAIL") }
}

/// SRC-08, LC-46, ER-10, ER-11.
fn change_list(link: &mut Link, data: &Data) -> Outcome {
    let Some(operation) = data.list_operation else { return Ok(()) };
    if link.mode != Mode::Source {
        return Err("EINVAL");
    }
    let one = data.one.as_deref().map(six);
    match (operation, one) {
        (0 | 1, None) => return Err("EINVAL"),
        (0, Some(mac)) => link.listed.push(mac),
        (1, Some(mac)) => link.listed.retain(|other| *other != mac),
        (2, _) => link.listed.clear(),
        _ => {
            link.listed = one.into_iter().collect();
            link.listed.extend(data.many.iter().flatten().map(|(_, bytes)| six(bytes)));
        }
    }
    link.listed.sort();
    link.listed.dedup();
    Ok(())
}

fn valid(further: &[Mac]) -> Result<Vec<Mac>, Errno> {
    match further.iter().all(|mac| is_unicast(*mac)) {
        true => Ok(further.to_vec()),
        false => Err("EADDRNOTAVAIL"),
    }
}

fn is_unicast(mac: Mac) -> bool {
    mac[0] & 1 == 0 && mac != [0; 6]
}

fn six(bytes: &[u8]) -> Mac {
    bytes[..6].try_into().unwrap()
}

fn mode_of(number: u32) -> Option<Mode> {
    match number {
        1 => Some(Mode::Private),
        2 => Some(Mode::Vepa),
        4 => Some(Mode::Bridge),
        8 => Some(Mode::Passthru),
        16 => Some(Mode::Source),
        _ => None,
    }
}
