//! One message per bad config, with its place in the file.
//!
//! Owns positions and the translation of what the TOML reader says into what a
//! person should type. Called by this module's two phases alone.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::raw::ALIASES;
use super::words::closest;

/// A place in the file. Both count from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Position {
    /// Where byte `offset` of `text` is.
    pub(super) fn of(text: &str, offset: usize) -> Self {
        Self::within(text, &line_starts(text), offset)
    }

    /// The same where the text's [`line_starts`] are known.
    fn within(text: &str, starts: &[usize], offset: usize) -> Self {
        let offset = offset.min(text.len());
        let line = starts.partition_point(|&start| start <= offset);
        let start = line.checked_sub(1).and_then(|line| starts.get(line)).copied();
        let before = text.get(start.unwrap_or(0)..offset).unwrap_or_default();
        // A byte order mark is invisible in every editor.
        let column = before.trim_start_matches('\u{feff}').chars().count() + 1;
        Self { line, column }
    }
}

/// Where the lines of a text begin, in bytes.
pub(super) fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect()
}

/// Why a config is refused: `FILE:LINE:COLUMN: what is wrong; what to type`,
/// on one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{}: {message}", file.display(), Place(*position))]
pub struct ConfigError {
    /// The file as it was named to us.
    pub file: PathBuf,
    /// Where in the file; absent if it cannot be read.
    pub position: Option<Position>,
    /// What is wrong and what to type. Has no line break.
    pub message: String,
}

struct Place(Option<Position>);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(Position { line, column }) => write!(f, ":{line}:{column}"),
            None => Ok(()),
        }
    }
}

impl ConfigError {
    pub(super) fn new(file: &Path, position: Option<Position>, message: &str) -> Self {
        Self { file: file.to_owned(), position, message: printable(message) }
    }
}

/// Text of the file may end up in a message and must not break its line or
/// reach the terminal as a command.
fn printable(message: &str) -> String {
    let escape = |letter: char| match letter.is_control() {
        true => letter.escape_default().to_string(),
        false => letter.to_string(),
    };
    message.chars().map(escape).collect()
}

/// The file being read: turns spans into positions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    pub(super) file: &'a Path,
    pub(super) text: &'a str,
    /// Its [`line_starts`]: a place is looked up for each section.
    pub(super) starts: &'a [usize],
    /// The switch's name if the file says none; made of the file's if there is none.
    pub(super) name: Option<&'a str>,
}

impl Source<'_> {
    pub(super) fn position(&self, span: &Range<usize>) -> Position {
        Position::within(self.text, self.starts, span.start)
    }

    pub(super) fn error(&self, span: &Range<usize>, message: &str) -> ConfigError {
        ConfigError::new(self.file, Some(self.position(span)), message)
    }

    /// What the TOML reader stumbled over.
    pub(super) fn toml_error(&self, error: &toml::de::Error) -> ConfigError {
        let span = error.span().unwrap_or_default();
        self.error(&span, &self.translate(error.message(), &span))
    }

    fn translate(&self, said: &str, span: &Range<usize>) -> String {
        let found = self.text.get(span.clone()).unwrap_or_default();
        if said.starts_with("unknown field ") {
            let known = said.rsplit_once(", expected ").map_or("", |(_, known)| known);
            return unknown_key(found.trim_matches(['"', '\'']), known);
        }
        if let Some(key) = said.strip_prefix("duplicate field ") {
            let key = key.trim_matches('`');
            return format!("{key} is given twice, once by another of its names; keep {key} alone");
        }
        if said == "duplicate key" {
            return format!("{found} is given twice; keep one");
        }
        if let Some((found, wanted)) =
            said.strip_prefix("invalid type: ").and_then(|types| types.split_once(", expected "))
        {
            return self.wrong_type(found, wanted, span);
        }
        match self.bare_word(span) {
            Some(word) if ["true", "false"].contains(&&*word.to_lowercase()) => {
                format!("not valid TOML: {word} is not a value; write true or false")
            }
            Some(word) => format!("not valid TOML: text needs double quotes; write \"{word}\""),
            None => format!("not valid TOML: {said}"),
        }
    }

    /// A word without quotes where a value should be, which is what nearly
    /// every syntax error is.
    fn bare_word(&self, span: &Range<usize>) -> Option<&str> {
        let (before, after) = self.text.split_at_checked(span.start)?;
        key_before(before)?;
        let end = after.find(|letter: char| letter.is_whitespace() || ",]}#\"'".contains(letter));
        let word = after.get(..end.unwrap_or(after.len()))?;
        word.starts_with(|first: char| first.is_alphabetic() || first == '/').then_some(word)
    }

    fn wrong_type(&self, found: &str, wanted: &str, span: &Range<usize>) -> String {
        let at = self.text.get(span.clone()).unwrap_or_default();
        let key = key_before(self.text.get(..span.start).unwrap_or_default());
        if let Some(name) = at.strip_prefix("[[").and_then(|name| name.strip_suffix("]]")) {
            return format!("there can be one section \"{name}\" only; write [{name}]");
        }
        if let Some(name) = at.strip_prefix('[').and_then(|name| name.strip_suffix(']'))
            && wanted == "a sequence"
        {
            return format!("there can be several sections \"{name}\"; write [[{name}]]");
        }
        let list = "a list of texts in square brackets, such as [\"a\", \"b\"]";
        let advice = match (wanted, key) {
            (_, Some(name @ ("lower" | "macvlan"))) => format!("a section [[{name}]]"),
            // Not the core of that name in [cores].
            (_, Some(name @ ("switch" | "cores" | "eal" | "metrics" | "control")))
                if wanted.starts_with("struct ") =>
            {
                format!("a section [{name}]")
            }
            // A bare number would be taken for a number of workers.
            (_, Some("workers")) => {
                "a core list in double quotes (\"1\" is core 1, \"2-5\" is four cores) or \"auto\""
                    .to_owned()
            }
            ("a string", _) => "text in double quotes".to_owned(),
            ("a boolean", _) => "true or false, without quotes".to_owned(),
            ("a sequence", _) => list.to_owned(),
            ("i64", _) => "a whole number without quotes".to_owned(),
            _ => "a section with keys".to_owned(),
        };
        let found = match found {
            "map" if at.starts_with(|first: char| first.is_ascii_digit()) => "a date",
            "map" => "a table",
            "sequence" => "a list",
            other => other.trim_end_matches(" as i128").trim_end_matches(" as u128"),
        };
        match key {
            Some(key) => format!("wrong type for {key}: found {found}; write {advice}"),
            None => format!("wrong type: found {found}; write {advice}"),
        }
    }
}

/// `known` is the reader's own list: names in backticks.
fn unknown_key(key: &str, known: &str) -> String {
    let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
    let known: Vec<&str> = known.into_iter().filter(|name| !ALIASES.contains(name)).collect();
    let all = known.join(", ");
    match closest(key, &known) {
        Some(meant) => {
            format!("unknown key \"{key}\"; did you mean \"{meant}\"? Known here: {all}")
        }
        None => format!("unknown key \"{key}\"; known here: {all}"),
    }
}

/// The key whose value begins where `before` ends, if both are on one line and
/// the key needs no quotes.
fn key_before(before: &str) -> Option<&str> {
    let line = before.rsplit('\n').next()?;
    let (left, _) = line.rsplit_once('=')?;
    let key = left.rsplit(['{', ',', '[']).next()?.trim();
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (!key.is_empty() && key.bytes().all(bare)).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
        let at = |text: &str, offset| {
            let Position { line, column } = Position::of(text, offset);
            (line, column)
        };
        assert_eq!(at("", 0), (1, 1));
        assert_eq!(at("ab\ncd", 2), (1, 3));
        assert_eq!(at("ab\ncd", 3), (2, 1));
        assert_eq!(at("ab\r\ncd", 5), (2, 2));
        assert_eq!(at("é = x", 3), (1, 3));
        assert_eq!(at("\u{feff}x", 3), (1, 1));
        assert_eq!(at("ab", 9), (1, 3));
    }

    #[test]
    fn a_message_is_one_harmless_line() {
        let error = ConfigError::new(
            Path::new("a.toml"),
            Some(Position { line: 3, column: 7 }),
            "bad \"x\ny\u{1b}[2J\"",
        );
        assert_eq!(error.to_string(), "a.toml:3:7: bad \"x\\ny\\u{1b}[2J\"");
        let unread = ConfigError::new(Path::new("a.toml"), None, "gone");
        assert_eq!(unread.to_string(), "a.toml: gone");
    }

    #[test]
    fn the_key_of_a_value_is_found_on_its_line() {
        assert_eq!(key_before("[switch]\nname = "), Some("name"));
        assert_eq!(key_before("lower = [{ name = \"a\", mtu="), Some("mtu"));
        assert_eq!(key_before("args = ["), Some("args"));
        assert_eq!(key_before("args = [\"--a=1\", "), None);
        assert_eq!(key_before("args = [\n  "), None);
    }
}
