//! Words of a command as iproute2 reads them: one after the other, keywords in
//! any order, each taking what follows it.
//!
//! Used by the grammars of the objects alone. Must know no object.

use crate::failure::{Failure, usage};

/// The words that are still to be read.
#[derive(Debug)]
pub(crate) struct Words<'a> {
    words: std::slice::Iter<'a, String>,
}

/// A keyword and whether a beginning of it will do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Keyword {
    /// It must be written out.
    Exact(&'static str),
    /// Any beginning of it will do, if no earlier keyword begins so.
    Prefix(&'static str),
}

impl<'a> Words<'a> {
    pub(crate) fn new(words: &'a [String]) -> Self {
        Self { words: words.iter() }
    }

    pub(crate) fn next(&mut self) -> Option<&'a str> {
        self.words.next().map(String::as_str)
    }

    /// The word after `keyword`, which needs one.
    pub(crate) fn value(&mut self, keyword: &str) -> Result<&'a str, Failure> {
        match self.next() {
            Some(word) => Ok(word),
            None => usage(format!("the command ends after \"{keyword}\": its value is missing")),
        }
    }

    /// The next word as a MAC address, if it is one; otherwise it stays.
    pub(crate) fn next_mac(&mut self) -> Option<String> {
        let address = mac(self.words.as_slice().first()?)?;
        self.words.next();
        Some(address)
    }
}

/// The first keyword that `word` stands for.
pub(crate) fn keyword(table: &[Keyword], word: &str) -> Option<&'static str> {
    table.iter().find_map(|known| match *known {
        Keyword::Exact(full) => (word == full).then_some(full),
        Keyword::Prefix(full) => begins(full, word).then_some(full),
    })
}

/// Whether `word` is an abbreviation of `full`.
pub(crate) fn begins(full: &str, word: &str) -> bool {
    !word.is_empty() && full.starts_with(word)
}

/// A MAC address as iproute2 reads it, a leading zero left out or not; in its usual form.
pub(crate) fn mac(word: &str) -> Option<String> {
    let octet = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        digits.then(|| u8::from_str_radix(text, 16).ok()).flatten()
    };
    let octets: Vec<u8> = word.split(':').map(octet).collect::<Option<_>>()?;
    let shown: Vec<String> = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    (octets.len() == 6).then(|| shown.join(":"))
}

/// The MAC address after `keyword`.
pub(crate) fn mac_of(keyword: &str, word: &str) -> Result<String, Failure> {
    match mac(word) {
        Some(address) => Ok(address),
        None => usage(format!(
            "argument of \"{keyword}\" must be a MAC address such as 02:00:00:00:00:12, not \"{word}\""
        )),
    }
}

/// An integer in C's notation: decimal, 0x hexadecimal, or octal after a 0.
fn integer(text: &str) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let hexadecimal = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let (digits, base) = match hexadecimal {
        Some(digits) => (digits, 16),
        None if digits.len() > 1 && digits.starts_with('0') => (digits, 8),
        None => (digits, 10),
    };
    let plain = digits.chars().all(|digit| digit.is_digit(base));
    let value = plain.then(|| i128::from_str_radix(digits, base).ok()).flatten()?;
    value.checked_mul(sign)
}

/// The number after `keyword`, in any base, from `least` to `most`.
pub(crate) fn number<T>(keyword: &str, word: &str, least: T, most: T) -> Result<T, Failure>
where
    T: TryFrom<i128> + PartialOrd + std::fmt::Display,
{
    let value = integer(word).and_then(|value| T::try_from(value).ok());
    match value.filter(|value| (&least..=&most).contains(&value)) {
        Some(value) => Ok(value),
        None => usage(format!(
            "argument of \"{keyword}\" must be a number from {least} to {most}, not \"{word}\""
        )),
    }
}

/// The `on` or `off` after `keyword`.
pub(crate) fn on_off(keyword: &str, word: &str) -> Result<bool, Failure> {
    match word {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => usage(format!("argument of \"{keyword}\" must be \"on\" or \"off\", not \"{word}\"")),
    }
}

/// A word in a place where one name may stand, and does already.
pub(crate) fn garbage<T>(word: &str) -> Result<T, Failure> {
    usage(format!("\"{word}\" is neither a keyword nor the only name here"))
}

/// A keyword that was given twice.
pub(crate) fn once<T>(keyword: &str, slot: &mut Option<T>, value: T) -> Result<(), Failure> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => usage(format!("\"{keyword}\" is given twice")),
    }
}

/// The value of something that must be there.
pub(crate) fn needed<T>(value: Option<T>, what: &str) -> Result<T, Failure> {
    match value {
        Some(value) => Ok(value),
        None => usage(format!("{what} is missing")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_c_s() {
        for (word, value) in [
            ("0", Some(0)),
            ("0x10", Some(16)),
            ("0X1f", Some(31)),
            ("010", Some(8)),
            ("+5", Some(5)),
            ("-1", Some(-1)),
            ("-0x10", Some(-16)),
            ("08", None),
            ("0x", None),
            ("", None),
            ("-", None),
            ("1k", None),
            ("--1", None),
            ("0x-1", None),
            ("999999999999999999999999999999999999999999", None),
        ] {
            assert_eq!(integer(word), value, "{word}");
        }
        assert_eq!(number("x", "4294967295", 0, u32::MAX).unwrap(), u32::MAX);
        assert_eq!(number("x", "-2147483648", i32::MIN, i32::MAX).unwrap(), i32::MIN);
        for word in ["-1", "4294967296", "x"] {
            let error = number("x", word, 0, u32::MAX).unwrap_err().to_string();
            assert!(error.contains("from 0 to 4294967295"), "{error}");
        }
    }

    #[test]
    fn macs_may_leave_zeros_out() {
        assert_eq!(mac("2:0:0:0:0:A").as_deref(), Some("02:00:00:00:00:0a"));
        assert_eq!(mac("02:00:00:00:00:81").as_deref(), Some("02:00:00:00:00:81"));
        for word in ["02:00", "02:00:00:00:00:zz", "02:00:00:00:00:00:00", "100:0:0:0:0:0", "", "a"]
        {
            assert_eq!(mac(word), None, "{word}");
        }
    }

    #[test]
    fn the_first_keyword_that_begins_so_is_meant() {
        use Keyword::{Exact, Prefix};
        let table = [Exact("mtu"), Prefix("master"), Prefix("macaddr")];
        assert_eq!(keyword(&table, "m"), Some("master"));
        assert_eq!(keyword(&table, "mac"), Some("macaddr"));
        assert_eq!(keyword(&table, "mtu"), Some("mtu"));
        assert_eq!(keyword(&table, "mt"), None);
        assert_eq!(keyword(&table, "masters"), None);
        assert_eq!(keyword(&table, ""), None);
    }
}
