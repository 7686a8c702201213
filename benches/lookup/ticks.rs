//! Criterion's measurements in TSC ticks, which is what the switch counts in.

use criterion::Throughput;
use criterion::measurement::{Measurement, ValueFormatter};
use mvswitch::dpdk::clock;

/// TSC ticks instead of nanoseconds.
pub struct Ticks;

impl Measurement for Ticks {
    type Intermediate = u64;
    type Value = u64;

    fn start(&self) -> u64 {
        clock::ticks()
    }

    fn end(&self, begun: u64) -> u64 {
        clock::ticks() - begun
    }

    fn add(&self, a: &u64, b: &u64) -> u64 {
        a + b
    }

    fn zero(&self) -> u64 {
        0
    }

    fn to_f64(&self, ticks: &u64) -> f64 {
        *ticks as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        &Ticks
    }
}

impl ValueFormatter for Ticks {
    fn format_throughput(&self, throughput: &Throughput, ticks: f64) -> String {
        let Throughput::Elements(count) = throughput else { return self.format_value(ticks) };
        let each = ticks / *count as f64;
        let nanoseconds = each * 1e9 / clock::ticks_per_second() as f64;
        format!("{each:.2} ticks, {nanoseconds:.2} ns each")
    }

    fn scale_values(&self, _: f64, _: &mut [f64]) -> &'static str {
        "ticks"
    }

    fn scale_throughputs(&self, _: f64, of: &Throughput, values: &mut [f64]) -> &'static str {
        if let Throughput::Elements(count) = of {
            values.iter_mut().for_each(|ticks| *ticks /= *count as f64);
        }
        "ticks each"
    }

    fn scale_for_machines(&self, _: &mut [f64]) -> &'static str {
        "ticks"
    }
}
