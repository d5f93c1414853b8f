//! The content of an evidence file, apart from how HDF5 stores it: a list of named values, each with its canonical bytes.
//!
//! Hashes are over these, so that repacking, compressing or copying the HDF5 file changes nothing.

use sha2::{Digest, Sha256};
use std::fmt;
use std::fmt::Write as _;

/// Most values in a file.
pub const ITEMS_MOST: usize = 4096;
/// Most bytes of one value.
pub const ITEM_BYTES_MOST: u64 = 64 << 20;
/// Most bytes of all values together.
pub const TOTAL_BYTES_MOST: u64 = 256 << 20;
/// Longest name.
pub const NAME_BYTES_MOST: usize = 255;

/// A SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// Before the first file there is none: all zeros.
    pub const NONE: Self = Self([0; 32]);

    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// From 64 digits in lower case, as [`Display`](fmt::Display) writes them.
    pub fn parse(hex: &str) -> Option<Self> {
        let digits = hex.as_bytes();
        if digits.len() != 64 || !digits.iter().all(|d| matches!(d, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(hash))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Hash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("a SHA-256 has 64 hexadecimal digits in lower case"))
    }
}

/// Type of a value's elements. There are few, and none of variable length: libhdf5 (1.10) crashes on those in a broken
/// file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// A byte. Text is a row of them, in UTF-8.
    U8,
    /// A count of rows.
    U32,
    /// A count.
    U64,
    /// Nanoseconds.
    I64,
    /// A power density.
    F32,
    /// Hertz, seconds.
    F64,
}

impl Type {
    /// Every type, in the order of their codes between processes.
    pub const ALL: [Self; 6] = [Self::U8, Self::U32, Self::U64, Self::I64, Self::F32, Self::F64];

    /// The name in manifests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::U8 => "u8",
            Self::U32 => "u32",
            Self::U64 => "u64",
            Self::I64 => "i64",
            Self::F32 => "f32",
            Self::F64 => "f64",
        }
    }

    /// Bytes of an element.
    pub const fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::U32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }
}

/// One data set or attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// `/tiles/0/power` for a data set, `/tiles/0@center_hz` for an attribute, `/tiles` for a bare group.
    pub name: String,
    /// Of its elements; a group has none.
    pub element: Option<Type>,
    /// Length of each dimension, the slowest first; of a single number, none.
    pub shape: Vec<u64>,
    /// Elements in row-major order, little endian.
    pub bytes: Vec<u8>,
}

impl Item {
    /// A group.
    pub fn group(name: impl Into<String>) -> Self {
        Self { name: name.into(), element: None, shape: Vec::new(), bytes: Vec::new() }
    }

    /// A text.
    pub fn text(name: impl Into<String>, text: &str) -> Self {
        Self::bytes(name, text.as_bytes().to_vec())
    }

    /// Bytes.
    pub fn bytes(name: impl Into<String>, bytes: Vec<u8>) -> Self {
        Self { name: name.into(), element: Some(Type::U8), shape: vec![bytes.len() as u64], bytes }
    }

    /// Power densities.
    pub fn f32(name: impl Into<String>, shape: Vec<u64>, values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self { name: name.into(), element: Some(Type::F32), shape, bytes }
    }

    /// Times.
    pub fn i64(name: impl Into<String>, values: &[i64]) -> Self {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self { name: name.into(), element: Some(Type::I64), shape: vec![values.len() as u64], bytes }
    }

    /// Counts of rows.
    pub fn u32(name: impl Into<String>, values: &[u32]) -> Self {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self { name: name.into(), element: Some(Type::U32), shape: vec![values.len() as u64], bytes }
    }

    /// One number, as an attribute.
    pub fn number(name: impl Into<String>, value: f64) -> Self {
        Self { name: name.into(), element: Some(Type::F64), shape: Vec::new(), bytes: value.to_le_bytes().to_vec() }
    }

    /// One count, as an attribute.
    pub fn count(name: impl Into<String>, value: u64) -> Self {
        Self { name: name.into(), element: Some(Type::U64), shape: Vec::new(), bytes: value.to_le_bytes().to_vec() }
    }

    /// The text that it is, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        if self.element != Some(Type::U8) { None } else { std::str::from_utf8(&self.bytes).ok() }
    }

    /// Its line in the manifest: what it is, its name, type and shape, and the SHA-256 of its bytes.
    pub fn manifest_line(&self) -> String {
        let mut shape = String::new();
        for (i, n) in self.shape.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(shape, "{comma}{n}").expect("invariant: a String takes any text");
        }
        let (kind, element) = match self.element {
            None => ("group", "-"),
            Some(t) if self.name.contains('@') => ("attribute", t.name()),
            Some(t) => ("dataset", t.name()),
        };
        format!("{kind} {} {element} [{shape}] {}", self.name, Hash::of(&self.bytes))
    }
}

/// Elements that a shape stands for, unless it is absurd.
pub fn elements(shape: &[u64]) -> Option<u64> {
    shape.iter().try_fold(1u64, |n, &d| n.checked_mul(d))
}

/// Whether a name of a group, data set or attribute is one that cellwarden gives: it can stand in a manifest line.
pub fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_BYTES_MOST
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_read_as_it_is_written() {
        let hash = Hash::of(b"abc");
        assert_eq!(hash.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(Hash::parse(&hash.to_string()), Some(hash));
        for bad in ["", "ba78", &hash.to_string().to_uppercase(), &format!("+{}", &hash.to_string()[1..])] {
            assert_eq!(Hash::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_manifest_line_tells_type_shape_and_bytes_apart() {
        let a = Item::f32("/a", vec![1, 2], &[1.0, 2.0]);
        let lines = [
            a.manifest_line(),
            Item { shape: vec![2, 1], ..a.clone() }.manifest_line(),
            Item { shape: vec![2], ..a.clone() }.manifest_line(),
            Item { element: Some(Type::U32), ..a.clone() }.manifest_line(),
            Item { name: "/b".into(), ..a.clone() }.manifest_line(),
            Item { name: "/a@b".into(), ..a.clone() }.manifest_line(),
            Item::f32("/a", vec![1, 2], &[1.0, 2.5]).manifest_line(),
        ];
        let different: std::collections::BTreeSet<&String> = lines.iter().collect();
        assert_eq!(different.len(), lines.len(), "{lines:?}");
        assert!(lines[0].starts_with("dataset /a f32 [1,2] "), "{}", lines[0]);
        assert!(lines[5].starts_with("attribute /a@b f32 "), "{}", lines[5]);
    }
}
