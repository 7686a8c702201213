//! Links in sentences.

use crate::driver::Link;

/// Names in one sentence; of more than these the rest is counted.
const MOST: usize = 16;

/// `mv0`, `mv0 and mv1`, `mv0, mv1 and mv2` …; `None` of no links.
pub(super) fn names(links: &[&Link]) -> Option<String> {
    list(links.iter().map(|link| link.name.clone()))
}

pub(super) fn list(items: impl ExactSizeIterator<Item = String>) -> Option<String> {
    let more = items.len().saturating_sub(MOST);
    let mut items: Vec<String> = items.take(MOST).collect();
    if more > 0 {
        items.push(format!("{more} more"));
    }
    let last = items.pop()?;
    Some(if items.is_empty() { last } else { format!("{} and {last}", items.join(", ")) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_read_as_sentences() {
        let of = |count: usize| list((0..count).map(|number| format!("mv{number}")));
        assert_eq!(of(0), None);
        assert_eq!(of(1).unwrap(), "mv0");
        assert_eq!(of(2).unwrap(), "mv0 and mv1");
        assert_eq!(of(3).unwrap(), "mv0, mv1 and mv2");
        assert!(of(MOST).unwrap().ends_with("mv14 and mv15"));
        assert!(of(1000).unwrap().ends_with("mv15 and 984 more"));
    }
}
