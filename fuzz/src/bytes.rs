//! Choices, taken from the front of an input byte by byte.
//!
//! Every input means something, and one that has run out chooses 0 for ever, so
//! that a byte more or less changes little.

/// What is left of an input.
#[derive(Debug)]
pub struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub fn new(input: &'a [u8]) -> Self {
        Self(input)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    pub fn flag(&mut self) -> bool {
        self.byte() & 1 != 0
    }

    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    pub fn number(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    /// One of a few; now and then, which is worth a look as well, any number.
    pub fn one_of(&mut self, few: &[u32]) -> u32 {
        let byte = usize::from(self.byte());
        if byte < 0xf0 { few.get(byte % few.len()).copied().unwrap_or(0) } else { self.number() }
    }

    /// A value that may be missing.
    pub fn maybe<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.flag().then(|| value(self))
    }

    /// Up to `most` values.
    pub fn several<T>(&mut self, most: u8, mut value: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = self.byte() % (most + 1);
        (0..count).map(|_| value(self)).collect()
    }
}
