//! How much is shown, on how many lines, in which colours.

use std::io::IsTerminal;

use crate::options::{Options, When};

/// How a result is to look.
#[derive(Clone, Debug, Default)]
pub(crate) struct Style {
    pub(crate) statistics: bool,
    pub(crate) details: bool,
    pub(crate) brief: bool,
    pub(crate) json: bool,
    pub(crate) pretty: bool,
    pub(super) oneline: bool,
    pub(super) palette: Option<Palette>,
}

/// What a colour is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Colour {
    Name,
    Address,
    Up,
    Down,
}

/// Colours for a background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Palette {
    Dark,
    Light,
}

impl Style {
    /// As the options ask, and the terminal takes.
    pub(crate) fn new(options: &Options) -> Self {
        let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
        let terminal = std::io::stdout().is_terminal();
        let auto = if variable("NO_COLOR").is_some() { When::Never } else { When::Auto };
        let coloured = !options.json
            && match options.color.unwrap_or(auto) {
                When::Always => true,
                When::Auto => terminal,
                When::Never => false,
            };
        Self {
            statistics: options.statistics > 0,
            details: options.details,
            brief: options.brief,
            json: options.json,
            pretty: options.pretty,
            oneline: options.oneline,
            palette: coloured.then(|| palette(variable("COLORFGBG").as_deref())),
        }
    }

    /// `text` in its colour.
    pub(crate) fn paint(&self, colour: Colour, text: &str) -> String {
        let code = match (self.palette, colour) {
            (None, _) => return text.to_owned(),
            (Some(Palette::Dark), Colour::Name) => "1;36",
            (Some(Palette::Dark), Colour::Address) => "1;33",
            (Some(Palette::Dark), Colour::Up) => "1;32",
            (Some(Palette::Dark), Colour::Down) => "1;31",
            (Some(Palette::Light), Colour::Name) => "36",
            (Some(Palette::Light), Colour::Address) => "33",
            (Some(Palette::Light), Colour::Up) => "32",
            (Some(Palette::Light), Colour::Down) => "31",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// An operational state in its colour, if it has one.
    pub(crate) fn state(&self, state: &str) -> String {
        match state.trim_end() {
            "UP" => self.paint(Colour::Up, state),
            "DOWN" => self.paint(Colour::Down, state),
            _ => state.to_owned(),
        }
    }
}

/// The terminal's `COLORFGBG` ends with the background's number.
fn palette(colorfgbg: Option<&str>) -> Palette {
    let background = colorfgbg.and_then(|colours| colours.rsplit_once(';'));
    match background.map(|(_, background)| background) {
        Some("0" | "1" | "2" | "3" | "4" | "5" | "6" | "8") => Palette::Dark,
        _ => Palette::Light,
    }
}

/// The lines of one thing: one line on the terminal if `-o` asks for it.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    text: &'a mut String,
    separator: char,
    begun: bool,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(text: &'a mut String, style: &Style) -> Self {
        Self { text, separator: if style.oneline { '\\' } else { '\n' }, begun: false }
    }

    /// Adds a line.
    pub(crate) fn push(&mut self, line: impl AsRef<str>) {
        if std::mem::replace(&mut self.begun, true) {
            self.text.push(self.separator);
        }
        self.text.push_str(line.as_ref());
    }

    /// Ends the last line.
    pub(crate) fn end(self) {
        self.text.push('\n');
    }
}

#[cfg(test)]
impl Style {
    /// In colours for a light background.
    pub(crate) fn coloured() -> Self {
        Self { palette: Some(Palette::Light), ..Self::default() }
    }

    pub(crate) fn one_line() -> Self {
        Self { oneline: true, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_asked_for_or_the_terminal_s() {
        let palette_of = |color, json| {
            Style::new(&Options { color, json, ..Options::default() }).palette.is_some()
        };
        assert!(palette_of(Some(When::Always), false));
        assert!(!palette_of(Some(When::Never), false));
        assert!(!palette_of(Some(When::Always), true));
        assert_eq!(palette(Some("15;0")), Palette::Dark);
        assert_eq!(palette(Some("0;default;15")), Palette::Light);
        assert_eq!(palette(None), Palette::Light);
    }
}
