//! A config's text as something that can be edited key by key.
//!
//! Owns what happens to comments and blank lines. Knows sections and keys, not
//! what they mean.

use std::fmt;

use macvlan::mac::MacAddr;
use toml_edit::{
    Array, ArrayOfTables, DocumentMut, InlineTable, Item, RawString, Table, TableLike, Value,
};

use crate::config::keys::{Datum, Key, names};

/// A config's text.
#[derive(Debug, Default)]
pub(super) struct Document {
    toml: DocumentMut,
    changed: bool,
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.toml.fmt(f)
    }
}

impl Document {
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(Self { toml: text.parse().ok()?, changed: false })
    }

    /// Something was edited.
    pub(super) const fn is_changed(&self) -> bool {
        self.changed
    }

    /// Brings a section of which there is one from what it said to what it shall say.
    pub(super) fn section(&mut self, name: &str, then: Option<&[Key]>, now: &[Key]) {
        let has = |keys: &[Key]| keys.iter().any(|key| key.value.is_some());
        let inline = self.toml.get(name).is_some_and(Item::is_inline_table);
        match self.toml.get_mut(name).and_then(Item::as_table_like_mut) {
            Some(_) if then.is_some_and(has) && !has(now) => {
                self.changed = true;
                if let Some(Item::Table(table)) = self.toml.remove(name) {
                    self.keep_comments(&table);
                }
            }
            Some(table) => self.changed |= update(table, inline, name, then, now),
            None if now.iter().all(|key| key.usual) => {}
            None => {
                self.changed = true;
                let mut table = Table::new();
                table.set_position(self.last_position());
                update(&mut table, false, name, None, now);
                self.toml.insert(name, Item::Table(table));
            }
        }
    }

    /// Removes all sections of a kind but those of these names.
    pub(super) fn keep(&mut self, kind: &str, wanted: &[&str]) {
        let gone = |table: &dyn TableLike| !wanted.iter().any(|name| is_named(table, kind, name));
        match self.toml.get_mut(kind) {
            Some(Item::ArrayOfTables(tables)) => {
                let indices: Vec<usize> = (0..tables.len())
                    .rev()
                    .filter(|index| tables.get(*index).is_some_and(|table| gone(table)))
                    .collect();
                let removed: Vec<Table> =
                    indices.into_iter().map(|index| tables.remove(index)).collect();
                self.changed |= !removed.is_empty();
                for table in removed {
                    self.keep_comments(&table);
                }
            }
            Some(Item::Value(Value::Array(values))) => {
                for index in (0..values.len()).rev() {
                    let table = values.get(index).and_then(Value::as_inline_table);
                    if table.is_some_and(|table| gone(table)) {
                        take(values, index);
                        self.changed = true;
                    }
                }
            }
            _ => {}
        }
    }

    /// Brings one section of a kind up to date, or adds it as the last.
    pub(super) fn item(
        &mut self,
        kind: &'static str,
        name: &str,
        then: Option<&[Key]>,
        now: &[Key],
    ) {
        if let Some((table, inline)) = self.find(kind, name) {
            let changed = update(table, inline, kind, then, now);
            self.changed |= changed;
            return;
        }
        self.changed = true;
        let last = self.last_position();
        match self.toml.entry(kind).or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new())) {
            Item::ArrayOfTables(tables) => {
                let mut table = Table::new();
                // Without a position it follows the one before.
                table.set_position(last.filter(|_| tables.is_empty()));
                update(&mut table, false, kind, None, now);
                tables.push(table);
            }
            Item::Value(Value::Array(values)) => {
                let mut table = InlineTable::new();
                update(&mut table, true, kind, None, now);
                push(values, Value::InlineTable(table));
            }
            _ => {}
        }
    }

    /// Writes one value of a section that is there.
    pub(super) fn value(
        &mut self,
        kind: &'static str,
        name: &str,
        key: &'static str,
        text: &str,
    ) -> bool {
        let Some((table, inline)) = self.find(kind, name) else { return false };
        let value = Some(Datum::Text(text.to_owned()));
        let changed = update(table, inline, kind, None, &[Key { name: key, value, usual: false }]);
        self.changed |= changed;
        changed
    }

    /// Moves VLANs that stand before what carries them behind it.
    pub(super) fn order_lowers(&mut self) {
        let carrier = |table: &dyn TableLike| Some(table.get("lower")?.as_str()?.to_owned());
        match self.toml.get_mut("lower") {
            Some(Item::ArrayOfTables(tables)) => {
                let mut index = 0;
                for _ in 0..tables.len() {
                    let late =
                        tables.get(index).and_then(|table| carrier(table)).is_some_and(|name| {
                            tables.iter().skip(index).any(|table| is_named(table, "lower", &name))
                        });
                    if late {
                        let mut table = tables.remove(index);
                        table.set_position(None);
                        tables.push(table);
                        self.changed = true;
                    } else {
                        index += 1;
                    }
                }
            }
            Some(Item::Value(Value::Array(values))) => {
                let mut index = 0;
                for _ in 0..values.len() {
                    let table = values.get(index).and_then(Value::as_inline_table);
                    let late = table.and_then(|table| carrier(table)).is_some_and(|name| {
                        let mut later =
                            values.iter().skip(index).filter_map(Value::as_inline_table);
                        later.any(|table| is_named(table, "lower", &name))
                    });
                    if late {
                        let value = take(values, index);
                        push(values, value);
                        self.changed = true;
                    } else {
                        index += 1;
                    }
                }
            }
            _ => {}
        }
    }

    /// A section of a kind, and whether it is in braces.
    fn find(&mut self, kind: &str, name: &str) -> Option<(&mut dyn TableLike, bool)> {
        match self.toml.get_mut(kind)? {
            Item::ArrayOfTables(tables) => {
                let table = tables.iter_mut().find(|table| is_named(*table, kind, name))?;
                Some((table, false))
            }
            Item::Value(Value::Array(values)) => {
                let mut tables = values.iter_mut().filter_map(Value::as_inline_table_mut);
                let table = tables.find(|table| is_named(*table, kind, name))?;
                Some((table, true))
            }
            _ => None,
        }
    }

    /// All sections with a header.
    fn tables(&mut self) -> impl Iterator<Item = &mut Table> {
        self.toml.iter_mut().flat_map(|(_, item)| match item {
            Item::Table(table) => vec![table],
            Item::ArrayOfTables(tables) => tables.iter_mut().collect(),
            _ => Vec::new(),
        })
    }

    fn last_position(&mut self) -> Option<isize> {
        self.tables().filter_map(|table| table.position()).max()
    }

    /// What stood before a section that is gone, and was not its own.
    fn keep_comments(&mut self, gone: &Table) {
        let kept = above(gone.decor().prefix());
        if kept.is_empty() {
            return;
        }
        let after = |table: &&mut Table| table.position() > gone.position();
        let next = self.tables().filter(after).min_by_key(|table| table.position());
        if let Some(next) = next {
            let prefix = joined(&kept, text(next.decor().prefix()));
            next.decor_mut().set_prefix(prefix);
        } else {
            let trailing = joined(&kept, text(Some(self.toml.trailing())));
            self.toml.set_trailing(format!("{}\n", trailing.trim_end()));
        }
    }
}

fn text(raw: Option<&RawString>) -> &str {
    raw.and_then(RawString::as_str).unwrap_or_default()
}

/// The comments above something that are not its own: all but the block that
/// touches it. A line for editors (`#:schema …`) is nobody's.
fn above(prefix: Option<&RawString>) -> String {
    let prefix = text(prefix);
    let end = prefix.rfind('\n').map_or(0, |end| end + 1);
    let lines: Vec<&str> = prefix.get(..end).unwrap_or_default().split_inclusive('\n').collect();
    let is_own = |line: &&&str| {
        let line = line.trim();
        line.starts_with('#') && !line.starts_with("#:")
    };
    let own = lines.iter().rev().take_while(is_own).count();
    let kept = lines.get(..lines.len() - own).unwrap_or_default().concat();
    if kept.contains('#') { kept } else { String::new() }
}

/// Two pieces of comments and blank lines, with no more blank lines between
/// them than one of them had.
fn joined(kept: &str, next: &str) -> String {
    let next = if kept.ends_with("\n\n") { next.strip_prefix('\n').unwrap_or(next) } else { next };
    format!("{kept}{next}")
}

/// The section is that of this name.
fn is_named(table: &dyn TableLike, kind: &str, name: &str) -> bool {
    let key = if kind == "host" { "link" } else { "name" };
    let value = spelled(table, kind, key).and_then(|key| table.get(key));
    value.and_then(Item::as_str) == Some(name)
}

/// What the section calls this key, if it has it.
fn spelled(table: &dyn TableLike, kind: &str, key: &'static str) -> Option<&'static str> {
    let known = names(kind, key);
    let known = if known.is_empty() { std::slice::from_ref(&key) } else { known };
    known.iter().find(|name| table.contains_key(name)).copied()
}

/// Brings a section up to date; says whether it was not.
fn update(
    table: &mut dyn TableLike,
    inline: bool,
    kind: &str,
    then: Option<&[Key]>,
    now: &[Key],
) -> bool {
    let mut changed = false;
    for key in now {
        let was = then.and_then(|keys| keys.iter().find(|then| then.name == key.name));
        let same = was.is_some_and(|was| was.value == key.value);
        match (spelled(table, kind, key.name), &key.value) {
            (Some(_), _) if same => continue,
            (word, value) if then.is_some() && may_derive(table, kind, key.name, word, value) => {
                continue;
            }
            (Some(name), None) => remove(table, inline, name),
            (Some(name), Some(datum)) => {
                if let Some(item) = table.get_mut(name) {
                    put(item, datum);
                }
            }
            (None, Some(_)) if key.usual => continue,
            (None, None) => continue,
            (None, Some(datum)) => {
                table.insert(key.name, Item::Value(datum.into()));
            }
        }
        changed = true;
    }
    changed
}

/// The file lets the address of this link be derived, and that may be the one
/// that it has: once all else is in place the reader is asked.
fn may_derive(
    table: &dyn TableLike,
    kind: &str,
    key: &str,
    spelled: Option<&str>,
    value: &Option<Datum>,
) -> bool {
    let random = matches!(value, Some(Datum::Text(word)) if word == "random");
    let word = spelled.and_then(|key| table.get(key)).map(Item::as_str);
    kind == "macvlan" && key == "address" && !random && word.is_none_or(|word| word == Some("auto"))
}

/// Changes a value and leaves what stands around it.
fn put(item: &mut Item, datum: &Datum) {
    if let (Datum::Set(wanted), Some(values)) = (datum, item.as_array_mut()) {
        return put_set(values, wanted);
    }
    let mut value = Value::from(datum);
    if let Some(old) = item.as_value() {
        *value.decor_mut() = old.decor().clone();
    }
    *item = Item::Value(value);
}

/// Leaves those that are wanted where they are, and puts new ones in the place
/// of those that go.
fn put_set(values: &mut Array, wanted: &[MacAddr]) {
    let address = |value: &Value| value.as_str().and_then(|text| text.parse::<MacAddr>().ok());
    let mut missing = wanted.to_vec();
    let mut surplus = Vec::new();
    for (index, value) in values.iter().enumerate() {
        match missing.iter().position(|other| Some(*other) == address(value)) {
            Some(place) => drop(missing.remove(place)),
            None => surplus.push(index),
        }
    }
    let common = missing.len().min(surplus.len());
    for (index, address) in surplus.drain(..common).zip(missing.drain(..common)) {
        values.replace(index, address.to_string());
    }
    for index in surplus.into_iter().rev() {
        take(values, index);
    }
    for address in missing {
        push(values, address.to_string().into());
    }
}

/// The rest of a line: a comment behind a comma is that of what is before it.
fn line(text: &str) -> (&str, &str) {
    text.find('\n').map_or(("", text), |end| text.split_at(end))
}

/// Takes a value out. The comment behind the comma before it stays, and its own
/// goes.
fn take(values: &mut Array, index: usize) -> Value {
    let value = values.remove(index);
    let (behind, _) = line(text(value.decor().prefix()));
    match values.get_mut(index) {
        Some(next) => {
            let (_, rest) = line(text(next.decor().prefix()));
            let prefix = format!("{behind}{rest}");
            next.decor_mut().set_prefix(prefix);
        }
        None => {
            let comma = values.trailing_comma();
            let end = if comma { Some(values.trailing()) } else { value.decor().suffix() };
            let (_, rest) = line(text(end));
            let rest = if rest.is_empty() && !behind.is_empty() { "\n" } else { rest };
            let trailing = format!("{behind}{rest}");
            values.set_trailing(trailing);
        }
    }
    value
}

/// Adds a value, on a line of its own if that is where the others are.
fn push(values: &mut Array, value: Value) {
    let prefix = values.iter().last().map(|value| text(value.decor().prefix()).to_owned());
    let indent = prefix.as_deref().and_then(|prefix| prefix.rsplit_once('\n'));
    let Some((_, indent)) = indent else { return values.push(value) };
    let comma = values.trailing_comma();
    let mut end = text(Some(values.trailing())).to_owned();
    if let Some(last) = values.iter_mut().last().filter(|_| !comma) {
        end.insert_str(0, text(last.decor().suffix()));
        last.decor_mut().set_suffix("");
    }
    let (behind, rest) = end.rsplit_once('\n').unwrap_or_default();
    values.push_formatted(value.decorated(format!("{behind}\n{indent}"), ""));
    values.set_trailing(format!("\n{rest}"));
}

/// Removes a key with the comments that are its own.
fn remove(table: &mut dyn TableLike, inline: bool, name: &str) {
    let keys: Vec<String> = table.iter().map(|(key, _)| key.to_owned()).collect();
    let place = keys.iter().position(|key| key == name).unwrap_or_default();
    let kept = table.key(name).map(|key| above(key.leaf_decor().prefix())).unwrap_or_default();
    table.remove(name);
    if inline || kept.is_empty() {
        return;
    }
    let next = keys.get(place + 1).and_then(|key| table.key_mut(key));
    if let Some(mut next) = next {
        let prefix = joined(&kept, text(next.leaf_decor().prefix()));
        next.leaf_decor_mut().set_prefix(prefix);
        return;
    }
    let last = place.checked_sub(1).and_then(|place| keys.get(place));
    if let Some(Item::Value(last)) = last.and_then(|key| table.get_mut(key)) {
        let suffix = format!("{}\n{}", text(last.decor().suffix()), kept.trim_end());
        last.decor_mut().set_suffix(suffix);
    }
}
