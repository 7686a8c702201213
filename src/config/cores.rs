//! Core lists as the config writes them: `"1"`, `"2-5,8"`.
//!
//! Pure text to numbers. Whether the cores exist is seen at start.

use std::ops::RangeInclusive;

/// Cores that a thread can be pinned to: the kernel's CPU set holds 1024.
pub(super) const CORES: RangeInclusive<usize> = 0..=1023;

const ADVICE: &str = "write cores and ranges such as \"1\" or \"2-5,8\", or \"auto\"";

/// The cores of a list, in the order written; `None` for `auto`. The list is
/// of cores, not a count. That of the control thread may be in it: a small
/// machine has no other.
///
/// # Errors
/// One sentence.
pub fn parse_workers(text: &str) -> Result<Option<Vec<usize>>, String> {
    if text == "auto" {
        return Ok(None);
    }
    let mut cores = Vec::new();
    for part in text.split(',').map(str::trim) {
        let range = parse_range(part)
            .map_err(|wrong| format!("core list \"{text}\": {wrong}; {ADVICE}"))?;
        for core in range {
            if cores.contains(&core) {
                return Err(format!("core list \"{text}\" has core {core} twice; leave one out"));
            }
            cores.push(core);
        }
    }
    Ok(Some(cores))
}

fn parse_range(part: &str) -> Result<RangeInclusive<usize>, String> {
    let (first, last) = part.split_once('-').unwrap_or((part, part));
    let (first, last) = (parse_core(first, part)?, parse_core(last, part)?);
    if first > last {
        return Err(format!("\"{part}\" runs backwards"));
    }
    Ok(first..=last)
}

fn parse_core(text: &str, part: &str) -> Result<usize, String> {
    // usize's own parser takes "+1".
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let core = text.parse().ok().filter(|_| digits);
    let core = core.ok_or_else(|| format!("\"{part}\" is neither a core nor a range"))?;
    if !CORES.contains(&core) {
        return Err(format!("core {core} is over {}", CORES.end()));
    }
    Ok(core)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_cores_in_the_order_written() {
        for (text, cores) in [
            ("1", vec![1]),
            ("2-5,8", vec![2, 3, 4, 5, 8]),
            ("8, 2-3", vec![8, 2, 3]),
            ("7-7", vec![7]),
            ("0", vec![0]),
            ("1023", vec![1023]),
        ] {
            assert_eq!(parse_workers(text), Ok(Some(cores)), "{text}");
        }
        assert_eq!(parse_workers("auto"), Ok(None));
    }

    #[test]
    fn bad_lists_say_which_part_is_bad() {
        for (text, needle) in [
            ("", "\"\" is neither"),
            ("2-", "\"2-\" is neither"),
            ("-2", "\"-2\" is neither"),
            ("5-2", "\"5-2\" runs backwards"),
            ("x", "\"x\" is neither"),
            ("1,,2", "\"\" is neither"),
            ("+1", "\"+1\" is neither"),
            ("1-2-3", "\"1-2-3\" is neither"),
            ("1,2-4,3", "core 3 twice"),
            ("1024", "over 1023"),
            ("1-18446744073709551615", "over 1023"),
            ("99999999999999999999999", "neither"),
        ] {
            let error = parse_workers(text).unwrap_err();
            assert!(error.contains(needle), "{text}: {error}");
        }
    }
}
