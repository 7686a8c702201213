//! The second phase for `[[lower]]` and `[[host]]`: devices, VLANs, hosts.

use super::raw::{RawHost, RawLower, Spanned};
use super::validate::{Result, Sections, Span, quoted};
use super::{HostConfig, LowerConfig, LowerDevice, VlanProtocol, rules};

impl Sections<'_> {
    pub(super) fn lower(&mut self, raw: Spanned<RawLower>) -> Result<()> {
        let (section, source) = (raw.span(), self.source);
        let mut raw = raw.into_inner();
        let (name, _) = self.name("lower", raw.name.take(), &section)?;
        let (device, most, reason) = self.lower_device(&name, &raw, &section)?;
        let mtu = source.value(raw.mtu.as_ref(), |mtu| rules::check_mtu(*mtu, most, &reason))?;
        let is_vlan = matches!(device, LowerDevice::Vlan { .. });
        let mtu = mtu.unwrap_or(if is_vlan { most } else { rules::DEFAULT_MTU });
        let address = source.value(raw.address.as_ref(), |text| rules::parse_address(text))?;
        if let (Some(address), Some(place)) = (address, &raw.address) {
            let claimed = self.addresses.claim((name.clone(), address), format!("lower {name}"));
            source.at(&place.span(), claimed.map_err(|_| "the address is taken".to_owned()))?;
        }
        let is = |flag: Option<Spanned<bool>>| flag.is_some_and(Spanned::into_inner);
        self.lowers.push(LowerConfig {
            name,
            device,
            mtu,
            address,
            up: raw.up.is_none_or(Spanned::into_inner),
            private_strict: is(raw.private_strict),
            drop_link_local: is(raw.drop_link_local),
            host: None,
        });
        Ok(())
    }

    /// What carries a lower's frames, and its largest MTU with the reason.
    fn lower_device(
        &mut self,
        name: &str,
        raw: &RawLower,
        section: &Span,
    ) -> Result<(LowerDevice, u16, String)> {
        let source = self.source;
        match (&raw.device, &raw.lower) {
            (Some(device), None) => {
                for (key, span) in [
                    ("vlan", raw.vlan.as_ref().map(Spanned::span)),
                    ("vlan_protocol", raw.vlan_protocol.as_ref().map(Spanned::span)),
                ] {
                    if let Some(span) = span {
                        let message = format!(
                            "lower {name} has a device, so it has no {key}; write lower = \"…\" \
                             with the lower that carries the VLAN instead of device"
                        );
                        return Err(source.error(&span, &message));
                    }
                }
                source.at(&device.span(), rules::check_device(device.get_ref()))?;
                self.device(&format!("lower {name}"), device)?;
                let device = LowerDevice::Device(device.get_ref().clone());
                Ok((device, rules::MAX_MTU, String::new()))
            }
            (Some(_), Some(lower)) => {
                let message = format!(
                    "lower {name} has a device, so it is no VLAN of another lower; leave one of the two out"
                );
                Err(source.error(&lower.span(), &message))
            }
            (None, Some(lower)) => self.vlan(name, raw, lower, section),
            (None, None) => {
                let message = format!(
                    "lower {name} has no device; write device = \"demo\", a PCI address such as \"0000:8a:00.0\", \
                     or a DPDK device such as \"net_af_packet0,iface=eth0\""
                );
                Err(source.error(section, &message))
            }
        }
    }

    fn vlan(
        &mut self,
        name: &str,
        raw: &RawLower,
        lower: &Spanned<String>,
        section: &Span,
    ) -> Result<(LowerDevice, u16, String)> {
        let source = self.source;
        let parent = self.find_lower(lower)?.clone();
        if matches!(parent.device, LowerDevice::Vlan { .. }) {
            let message =
                format!("lower {} is a VLAN itself; name the lower that carries it", parent.name);
            return Err(source.error(&lower.span(), &message));
        }
        let Some(vlan) = &raw.vlan else {
            let message = format!("lower {name} is on {}; write vlan = 1 to 4094", parent.name);
            return Err(source.error(section, &message));
        };
        let id =
            source.at(&vlan.span(), rules::check_number("vlan", *vlan.get_ref(), 1..=4094_u16))?;
        let protocol = source
            .value(raw.vlan_protocol.as_ref(), |word| rules::parse_vlan_protocol(word))?
            .unwrap_or(VlanProtocol::Dot1q);
        if let (LowerDevice::Device(device), VlanProtocol::Dot1ad, Some(word)) =
            (&parent.device, protocol, &raw.vlan_protocol)
            && device.starts_with("net_af_packet")
        {
            let message = format!(
                "lower {} is on net_af_packet, which hands service tags over as if they were 802.1q; \
                 use another driver, or 802.1q",
                parent.name
            );
            return Err(source.error(&word.span(), &message));
        }
        let claimed = self.vlans.claim((parent.name.clone(), protocol, id), name.to_owned());
        let claimed = claimed.map_err(|owner| {
            format!("vlan {id} of {} is lower {owner} already; write another", parent.name)
        });
        source.at(&vlan.span(), claimed)?;
        let reason = format!(" (that of lower {})", parent.name);
        Ok((LowerDevice::Vlan { lower: parent.name, id, protocol }, parent.mtu, reason))
    }

    pub(super) fn host(&mut self, raw: Spanned<RawHost>) -> Result<()> {
        let (section, source) = (raw.span(), self.source);
        let raw = raw.into_inner();
        let Some(link) = &raw.link else {
            let names: Vec<&str> = self.lowers.iter().map(|lower| lower.name.as_str()).collect();
            let message = format!("host without a lower; write link = one of {}", quoted(&names));
            return Err(source.error(&section, &message));
        };
        let lower = self.find_lower(link)?;
        let name = lower.name.clone();
        if lower.host.is_some() {
            let message = format!("lower {name} has a host already; leave one of the two out");
            return Err(source.error(&link.span(), &message));
        }
        let Some(device) = &raw.device else {
            let message = format!(
                "the host of {name} has no device; write one such as device = \"net_tap0,iface={name}h\""
            );
            return Err(source.error(&section, &message));
        };
        source.at(&device.span(), rules::check_link_device(device.get_ref()))?;
        self.device(&format!("host of {name}"), device)?;
        let reachable = raw.reachable.is_some_and(Spanned::into_inner);
        let host = HostConfig { device: device.get_ref().clone(), reachable };
        if let Some(lower) = self.lowers.iter_mut().find(|lower| lower.name == name) {
            lower.host = Some(host);
        }
        Ok(())
    }

    /// The lower that a value names.
    pub(super) fn find_lower(&self, value: &Spanned<String>) -> Result<&LowerConfig> {
        let wanted = value.get_ref();
        let names: Vec<&str> = self.lowers.iter().map(|lower| lower.name.as_str()).collect();
        let lower = self.lowers.iter().find(|lower| lower.name == *wanted);
        lower.ok_or_else(|| {
            let message =
                format!("there is no lower \"{wanted}\"; write one of {}", quoted(&names));
            self.source.error(&value.span(), &message)
        })
    }
}
