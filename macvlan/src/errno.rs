//! Why an operation was refused: the kernel's error number and a sentence.
//!
//! Owns the names of the error numbers that the driver answers with. The number
//! is for programs and for comparison with the kernel; the sentence is for
//! people and names what is in the way.

use std::fmt;

macro_rules! errnos {
    ($($variant:ident = $number:literal, $name:literal;)*) => {
        /// An error number of the kernel.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(i32)]
        pub enum Errno { $(#[doc = $name] $variant = $number,)* }

        impl Errno {
            /// Every error number an operation can be refused with.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name, such as `EADDRINUSE`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

errnos! {
    Eperm = 1, "EPERM";
    Enoent = 2, "ENOENT";
    Ebusy = 16, "EBUSY";
    Eexist = 17, "EEXIST";
    Enodev = 19, "ENODEV";
    Einval = 22, "EINVAL";
    Enospc = 28, "ENOSPC";
    Erange = 34, "ERANGE";
    Eopnotsupp = 95, "EOPNOTSUPP";
    Eaddrinuse = 98, "EADDRINUSE";
    Eaddrnotavail = 99, "EADDRNOTAVAIL";
}

impl Errno {
    /// The number, positive.
    #[must_use]
    pub const fn number(self) -> i32 {
        self as i32
    }

    /// A refusal with this number.
    pub fn because(self, message: impl Into<String>) -> Refusal {
        Refusal { errno: self, message: message.into() }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An operation that was not carried out. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The kernel's number for it.
    pub errno: Errno,
    /// One sentence: what is in the way.
    pub message: String,
}
