//! Makes a failing scenario small: what can be left out while it still fails is left out.

use super::deviations::Deviations;
use super::kernel::Kernel;
use super::rings::Rings;
use super::run::{Difference, Run};
use super::scenario::Scenario;

/// Runs a scenario once.
fn attempt(
    kernel: &mut Kernel,
    rings: Option<&mut Rings>,
    scenario: &Scenario,
) -> Option<Difference> {
    // Only the run that is reported counts what it met.
    let mut scratch = Deviations::read();
    Run::new(kernel, &mut scratch).with_rings(rings).play(scenario).1.err()
}

/// The smallest scenario found that fails, and how it fails; `None` if it does not fail again.
pub(crate) fn shrink(
    kernel: &mut Kernel,
    mut rings: Option<&mut Rings>,
    scenario: &Scenario,
) -> Option<(Scenario, Difference)> {
    let mut difference = attempt(kernel, rings.as_deref_mut(), scenario)?;
    let mut small = scenario.clone();
    small.steps.truncate(difference.step + 1);
    let mut chunk = small.steps.len().div_ceil(2);
    while chunk > 0 {
        let mut at = 0;
        while at < small.steps.len() {
            let mut less = small.clone();
            less.steps.drain(at..(at + chunk).min(small.steps.len()));
            match attempt(kernel, rings.as_deref_mut(), &less) {
                Some(found) => {
                    small = less;
                    small.steps.truncate(found.step + 1);
                    difference = found;
                }
                None => at += chunk,
            }
        }
        chunk /= 2;
    }
    Some((small, difference))
}
