//! Reads `/metrics` as Prometheus does: an HTTP GET and the text format.
//!
//! Pure but for the one connection. Never asks for a metric under a name that
//! is not in the text: a misspelt name fails instead of counting as zero.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// One line of the text: a name, labels, a value.
#[derive(Clone, Debug, PartialEq)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// One scrape.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Metrics {
    /// The text as it came.
    pub(crate) text: String,
    samples: Vec<Sample>,
}

/// What the switch's own port has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PortCounters {
    /// Frames from the guest or the wire.
    pub(crate) received: u64,
    /// Their bytes.
    pub(crate) received_bytes: u64,
    /// Frames to the guest or the wire.
    pub(crate) transmitted: u64,
    /// Their bytes.
    pub(crate) transmitted_bytes: u64,
    /// Drops by (direction, reason), those that are zero left out.
    pub(crate) drops: BTreeMap<(String, String), u64>,
}

impl PortCounters {
    /// Frames dropped for `reason`, in both directions.
    pub(crate) fn dropped(&self, reason: &str) -> u64 {
        self.drops.iter().filter(|((_, key), _)| key == reason).map(|(_, frames)| frames).sum()
    }

    /// Frames dropped for any reason.
    pub(crate) fn all_dropped(&self) -> u64 {
        self.drops.values().sum()
    }
}

impl Metrics {
    /// Gets and parses the page.
    #[track_caller]
    pub(crate) fn scrape(server: SocketAddr) -> Self {
        let (head, text) = get(server, "/metrics").unwrap_or_else(|e| panic!("{server}: {e}"));
        assert!(head.starts_with("HTTP/1.1 200"), "GET /metrics: {head}");
        let samples = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let samples = samples
            .map(|line| parse(line).unwrap_or_else(|| panic!("not a sample: {line:?}")))
            .collect();
        Self { text, samples }
    }

    /// The values of every sample of `name` that has all of `labels`.
    fn all<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&str, &str)],
    ) -> impl Iterator<Item = &'a Sample> {
        let fits = move |sample: &&Sample| {
            let has = |(key, value): &(&str, &str)| {
                sample.labels.get(*key).is_some_and(|found| found == value)
            };
            sample.name == name && labels.iter().all(has)
        };
        self.samples.iter().filter(fits)
    }

    /// The value of the only sample of `name` with all of `labels`.
    #[track_caller]
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let mut found = self.all(name, labels);
        match (found.next(), found.next()) {
            (Some(sample), None) => sample.value,
            (None, _) => panic!("no {name} with {labels:?} in:\n{}", self.text),
            _ => panic!("several {name} with {labels:?} in:\n{}", self.text),
        }
    }

    /// A counter's value; panics when it is no whole number.
    #[track_caller]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
    pub(crate) fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let value = self.value(name, labels);
        assert!(value >= 0.0 && value.fract() == 0.0, "{name} is {value}");
        value as u64
    }

    /// All that was counted for a port.
    #[track_caller]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counters")]
    pub(crate) fn port(&self, port: &str) -> PortCounters {
        let count = |name: &str| self.count(name, &[("port", port)]);
        let drops = self
            .all("mvswitch_port_drop_total", &[("port", port)])
            .filter(|sample| sample.value != 0.0)
            .map(|sample| {
                let label = |key: &str| sample.labels[key].clone();
                ((label("direction"), label("reason")), sample.value as u64)
            })
            .collect();
        PortCounters {
            received: count("mvswitch_port_receive_packets_total"),
            received_bytes: count("mvswitch_port_receive_bytes_total"),
            transmitted: count("mvswitch_port_transmit_packets_total"),
            transmitted_bytes: count("mvswitch_port_transmit_bytes_total"),
            drops,
        }
    }

    /// True if the port is up: for a socket, that its guest is connected.
    #[track_caller]
    pub(crate) fn is_up(&self, port: &str) -> bool {
        self.count("mvswitch_port_up", &[("port", port)]) == 1
    }
}

/// Head and body of the answer to a GET.
pub(crate) fn get(server: SocketAddr, path: &str) -> std::io::Result<(String, String)> {
    let mut stream = TcpStream::connect_timeout(&server, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    Ok((head.to_owned(), body.to_owned()))
}

/// `name{key="value",…} 1`; label values of the switch hold no quotes or commas.
fn parse(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = match series.split_once('{') {
        Some((name, rest)) => (name, rest.strip_suffix('}')?),
        None => (series, ""),
    };
    let label = |text: &str| {
        let (key, value) = text.split_once('=')?;
        let value = value.strip_prefix('"')?.strip_suffix('"')?;
        Some((key.to_owned(), value.to_owned()))
    };
    let labels =
        labels.split(',').filter(|text| !text.is_empty()).map(label).collect::<Option<_>>()?;
    Some(Sample { name: name.to_owned(), labels, value: value.parse().ok()? })
}
