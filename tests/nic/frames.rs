//! Frames that no two tests mistake for each other, and their text form.

/// An address.
pub(crate) type Mac = [u8; 6];

/// EtherType of the tests; nobody else uses it (an experimental one).
pub(crate) const KIND: [u8; 2] = [0x88, 0xb5];

pub(crate) const BROADCAST: Mac = [0xff; 6];
/// A station on the wire.
pub(crate) const OUTSIDE: Mac = [2, 9, 9, 9, 9, 9];

/// Makes frames, each with a number of its own.
#[derive(Debug, Default)]
pub(crate) struct Frames(u32);

impl Frames {
    /// An untagged frame of the least length.
    pub(crate) fn plain(&mut self, dst: Mac, src: Mac) -> Vec<u8> {
        self.tagged(dst, src, &[])
    }

    /// A frame with these tags, the outer one first: EtherType and control information.
    pub(crate) fn tagged(&mut self, dst: Mac, src: Mac, tags: &[(u16, u16)]) -> Vec<u8> {
        self.0 += 1;
        let mut frame = [dst, src].concat();
        for (kind, control) in tags {
            frame.extend(kind.to_be_bytes());
            frame.extend(control.to_be_bytes());
        }
        frame.extend(KIND);
        frame.extend(self.0.to_be_bytes());
        frame.resize(60 + tags.len() * 4, 0);
        // The end must arrive, too.
        *frame.last_mut().unwrap() = 0xee;
        frame
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[track_caller]
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    let pairs = pairs.map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

/// `02:00:…` of an address.
pub(crate) fn text(mac: Mac) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// The address of a text like `02:00:…`.
#[track_caller]
pub(crate) fn mac(text: &str) -> Mac {
    unhex(&text.replace(':', "")).try_into().unwrap()
}
