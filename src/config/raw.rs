//! The first phase: what the file says, typed but not judged.
//!
//! Owns the keys, their types and the names other tools have for them. Every
//! value carries its bytes' range in the file, so that the second phase
//! ([`super::validate`]) can point at it. Nothing here knows a default or a rule.

use serde::Deserialize;
use toml::Spanned;

/// A value that may be left out.
type Maybe<T> = Option<Spanned<T>>;

/// Names from other tools that are read and never printed.
pub(super) const ALIASES: [&str; 7] =
    ["parent", "master", "network_interface", "lowerDevice", "macvlan_mode", "mac", "hwaddr"];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    #[serde(default)]
    pub(super) switch: RawSwitch,
    #[serde(default)]
    pub(super) cores: RawCores,
    #[serde(default)]
    pub(super) eal: RawEal,
    pub(super) metrics: Maybe<RawMetrics>,
    #[serde(default)]
    pub(super) lower: Vec<Spanned<RawLower>>,
    #[serde(default)]
    pub(super) host: Vec<Spanned<RawHost>>,
    #[serde(default)]
    pub(super) macvlan: Vec<Spanned<RawLink>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSwitch {
    pub(super) name: Maybe<String>,
    pub(super) runtime_dir: Maybe<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCores {
    pub(super) control: Maybe<i64>,
    pub(super) workers: Maybe<String>,
    pub(super) idle: Maybe<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEal {
    pub(super) memory: Maybe<String>,
    pub(super) memory_mb: Maybe<i64>,
    #[serde(default)]
    pub(super) args: Vec<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMetrics {
    pub(super) listen: Maybe<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLower {
    pub(super) name: Maybe<String>,
    pub(super) device: Maybe<String>,
    pub(super) lower: Maybe<String>,
    pub(super) vlan: Maybe<i64>,
    pub(super) vlan_protocol: Maybe<String>,
    pub(super) mtu: Maybe<i64>,
    pub(super) address: Maybe<String>,
    pub(super) up: Maybe<bool>,
    pub(super) private_strict: Maybe<bool>,
    pub(super) drop_link_local: Maybe<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHost {
    #[serde(alias = "parent", alias = "master")]
    pub(super) link: Maybe<String>,
    pub(super) device: Maybe<String>,
    pub(super) reachable: Maybe<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLink {
    pub(super) name: Maybe<String>,
    #[serde(
        alias = "parent",
        alias = "master",
        alias = "network_interface",
        alias = "lowerDevice"
    )]
    pub(super) link: Maybe<String>,
    #[serde(alias = "macvlan_mode")]
    pub(super) mode: Maybe<String>,
    #[serde(alias = "mac", alias = "hwaddr")]
    pub(super) address: Maybe<String>,
    pub(super) mtu: Maybe<i64>,
    pub(super) socket: Maybe<String>,
    pub(super) role: Maybe<String>,
    pub(super) device: Maybe<String>,
    pub(super) up: Maybe<bool>,
    pub(super) nopromisc: Maybe<bool>,
    pub(super) nodst: Maybe<bool>,
    #[serde(default)]
    pub(super) macaddr: Vec<Spanned<String>>,
    pub(super) bcqueuelen: Maybe<i64>,
    pub(super) bclim: Maybe<i64>,
    #[serde(default)]
    pub(super) addresses: Vec<Spanned<String>>,
    pub(super) promisc: Maybe<bool>,
    pub(super) allmulticast: Maybe<bool>,
    #[serde(default)]
    pub(super) multicast: Vec<Spanned<String>>,
    pub(super) spoof_check: Maybe<bool>,
}
