//! The second phase for `[[macvlan]]`: links, and what they share with others.

use std::collections::HashSet;
use std::path::PathBuf;

use macvlan::driver::{BC_QUEUE_LEN, MAX_ADDRESSES};
use macvlan::mac::MacAddr;
use macvlan::mode::{Flags, Mode};

use super::raw::{RawLink, Spanned};
use super::validate::{Result, Sections, Span, quoted};
use super::{Endpoint, LinkConfig, LowerConfig, Role, rules};

impl Sections<'_> {
    pub(super) fn link(&mut self, raw: Spanned<RawLink>) -> Result<()> {
        let (section, source) = (raw.span(), self.source);
        let mut raw = raw.into_inner();
        let (name, name_span) = self.name("link", raw.name.take(), &section)?;
        let lower = self.lower_of(&name, raw.link.as_ref(), &section)?.clone();
        let mode = source.value(raw.mode.as_ref(), |word| rules::parse_mode(word))?;
        let mode = mode.unwrap_or(Mode::Bridge);
        let mode_span = raw.mode.as_ref().map_or(section, Spanned::span);
        self.check_company(&name, mode, &lower.name, &mode_span)?;
        let flags = self.flags(&name, mode, &raw)?;
        let address = self.address(&name, mode, &lower.name, raw.address.as_ref())?;
        let random_address = raw.address.as_ref().is_some_and(|word| word.get_ref() == "random");
        let addresses = self.addresses(&name, &lower.name, &raw.addresses)?;
        let macaddr = self.sources(&name, mode, &raw.macaddr)?;
        let multicast = self.groups(&raw.multicast)?;
        let reason = format!(" (that of lower {})", lower.name);
        let mtu =
            source.value(raw.mtu.as_ref(), |mtu| rules::check_mtu(*mtu, lower.mtu, &reason))?;
        let number =
            |what, range| move |number: &i64| rules::check_number::<u32>(what, *number, range);
        let queue = source.value(raw.bcqueuelen.as_ref(), number("bcqueuelen", 0..=u32::MAX))?;
        let limit = |limit: &i64| rules::check_number("bclim", *limit, i32::MIN..=i32::MAX);
        let bclim = source.value(raw.bclim.as_ref(), limit)?;
        if let (Some(limit), Some(value)) = (bclim, &raw.bclim) {
            source.at(&value.span(), self.check_limit(&lower.name, limit))?;
        }
        let place = raw.socket.as_ref().map_or(name_span, Spanned::span);
        let endpoint = self.endpoint(&name, &raw, &place)?;
        self.origin.sockets.push(source.position(&place));
        let is = |flag: Option<Spanned<bool>>| flag.map(Spanned::into_inner);
        self.links.push(LinkConfig {
            name,
            lower: lower.name,
            mode,
            flags,
            address,
            random_address,
            addresses,
            macaddr,
            bcqueuelen: queue.unwrap_or(BC_QUEUE_LEN),
            bclim,
            mtu: mtu.unwrap_or(lower.mtu),
            up: is(raw.up).unwrap_or(true),
            promisc: is(raw.promisc).unwrap_or(false),
            // A guest's own filter is not told to us: without a list it hears all.
            allmulticast: is(raw.allmulticast).unwrap_or(multicast.is_empty()),
            multicast,
            spoof_check: is(raw.spoof_check).unwrap_or(false),
            endpoint,
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
        if self.links.iter().any(|link| link.name == *wanted) || wanted == link {
            let message = format!(
                "\"{wanted}\" is a link, and links are on lowers; write one of {}",
                quoted(&names)
            );
            return Err(self.source.error(&value.span(), &message));
        }
        self.find_lower(value)
    }

    /// ER-19, ER-20: a passthru link is the only one of its lower.
    fn check_company(&self, link: &str, mode: Mode, lower: &str, place: &Span) -> Result<()> {
        let sibling = self.links.iter().find(|other| {
            other.lower == lower && (mode == Mode::Passthru || other.mode == Mode::Passthru)
        });
        let Some(sibling) = sibling else { return Ok(()) };
        let alone = if mode == Mode::Passthru { link } else { &sibling.name };
        let message = format!(
            "link {alone} is in passthru mode and so the only one of lower {lower}, which has {} and {link}; \
             give one of them another lower, or another mode",
            sibling.name
        );
        Err(self.source.error(place, &message))
    }

    /// There is one for all links of a lower: of two the last would win.
    fn check_limit(&self, lower: &str, limit: i32) -> std::result::Result<(), String> {
        let on_it = self.links.iter().filter(|other| other.lower == lower);
        let mut others = on_it.filter_map(|other| Some((&other.name, other.bclim?)));
        match others.find(|(_, other)| *other != limit) {
            None => Ok(()),
            Some((name, other)) => Err(format!(
                "all links of lower {lower} have one bclim, and link {name} says {other}; \
                 write {other} here too, or leave it out"
            )),
        }
    }

    /// IP-02: iproute2 refuses nopromisc elsewhere, too.
    fn flags(&self, link: &str, mode: Mode, raw: &RawLink) -> Result<Flags> {
        let mut flags = Flags::NONE;
        for (value, flag) in [(&raw.nopromisc, Flags::NOPROMISC), (&raw.nodst, Flags::NODST)] {
            let Some(value) = value.as_ref().filter(|value| *value.get_ref()) else { continue };
            if flag == Flags::NOPROMISC && mode != Mode::Passthru {
                let message = format!(
                    "link {link} is in {mode} mode, and nopromisc is for passthru; leave it out"
                );
                return Err(self.source.error(&value.span(), &message));
            }
            flags = flags.union(flag);
        }
        Ok(flags)
    }

    /// The address, or a placeholder until all explicit ones are known.
    fn address(
        &mut self,
        link: &str,
        mode: Mode,
        lower: &str,
        value: Option<&Spanned<String>>,
    ) -> Result<MacAddr> {
        let source = self.source;
        let Some(value) = value.filter(|value| value.get_ref() != "auto") else {
            self.automatic.push(self.links.len());
            return Ok(MacAddr::ZERO);
        };
        if mode == Mode::Passthru {
            // The kernel overrides it without a word (LC-15): that helps nobody.
            let message = format!(
                "link {link} is in passthru mode and has the address of lower {lower}; \
                 leave address out here, or write it at the lower"
            );
            return Err(source.error(&value.span(), &message));
        }
        if value.get_ref() == "random" {
            let taken = |address| self.addresses.has(&(lower.to_owned(), address));
            let address = rules::random_address(taken);
            let owner = format!("link {link} on lower {lower}");
            // It is free: that is what was looked for.
            _ = self.addresses.claim((lower.to_owned(), address), owner);
            return Ok(address);
        }
        self.claim_address(link, lower, value, "; write another or \"auto\"")
    }

    fn claim_address(
        &mut self,
        link: &str,
        lower: &str,
        value: &Spanned<String>,
        advice: &str,
    ) -> Result<MacAddr> {
        let address = self.source.at(&value.span(), rules::parse_address(value.get_ref()))?;
        let claimed = self
            .addresses
            .claim((lower.to_owned(), address), format!("link {link} on lower {lower}"));
        let claimed = claimed
            .map_err(|owner| format!("address {address} is that of {owner} already{advice}"));
        self.source.at(&value.span(), claimed)?;
        Ok(address)
    }

    /// Further addresses.
    fn addresses(
        &mut self,
        link: &str,
        lower: &str,
        values: &[Spanned<String>],
    ) -> Result<Vec<MacAddr>> {
        let of_lower = self.links.iter().filter(|other| other.lower == lower);
        let others: usize = of_lower.map(|other| 1 + other.addresses.len()).sum();
        let room = MAX_ADDRESSES.saturating_sub(others + 1);
        if let Some(first) = values.get(room) {
            let message = format!(
                "the links of lower {lower} can have {MAX_ADDRESSES} addresses together; this is one more"
            );
            return Err(self.source.error(&first.span(), &message));
        }
        values
            .iter()
            .map(|value| self.claim_address(link, lower, value, "; leave it out"))
            .collect()
    }

    /// ER-11.
    fn sources(&self, link: &str, mode: Mode, values: &[Spanned<String>]) -> Result<Vec<MacAddr>> {
        if let Some(first) = values.first().filter(|_| mode != Mode::Source) {
            let message = format!(
                "link {link} is in {mode} mode, and macaddr is the list of a link in source mode; \
                 write mode = \"source\" or leave macaddr out"
            );
            return Err(self.source.error(&first.span(), &message));
        }
        let parse = |value: &Spanned<String>| {
            self.source.at(&value.span(), rules::parse_address(value.get_ref()))
        };
        values.iter().map(parse).collect()
    }

    fn groups(&self, values: &[Spanned<String>]) -> Result<Vec<MacAddr>> {
        let mut groups = Vec::with_capacity(values.len());
        let mut known = HashSet::new();
        for value in values {
            let group = self.source.at(&value.span(), rules::parse_group(value.get_ref()))?;
            if !known.insert(group) {
                let message = format!("group {group} is listed twice; leave one out");
                return Err(self.source.error(&value.span(), &message));
            }
            groups.push(group);
        }
        Ok(groups)
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
    pub(super) fn derive_addresses(&mut self) {
        for index in std::mem::take(&mut self.automatic) {
            let Some(link) = self.links.get_mut(index) else { continue };
            let taken = |address| self.addresses.has(&(link.lower.clone(), address));
            link.address = rules::auto_address(self.switch, &link.lower, &link.name, taken);
            let owner = format!("link {} on lower {}", link.name, link.lower);
            // It is free: that is what was looked for.
            _ = self.addresses.claim((link.lower.clone(), link.address), owner);
        }
    }
}
