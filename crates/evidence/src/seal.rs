//! What binds a file's content to its place in the chain and to the box: manifest, head, signature.

use crate::content::{Hash, Item};
use crate::keys::{Keys, PublicKey, SignatureText};
use cellwarden_types::UtcNanos;
use serde::{Deserialize, Serialize};

/// The data set that lists the others. It and the seal are not in the list: the seal holds the list's hash, and the
/// signature covers the seal.
pub const MANIFEST: &str = "/manifest";
/// The data set of the seal.
pub const SEAL: &str = "/seal";

/// One line for each value, sorted by name.
pub(crate) fn manifest(items: &[Item]) -> String {
    let mut lines: Vec<(&str, String)> = items.iter().map(|i| (i.name.as_str(), i.manifest_line())).collect();
    lines.sort();
    lines.into_iter().map(|(_, line)| line + "\n").collect()
}

/// A file's place in the chain, signed. It is a data set of the file and a line of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// Counts the box's evidence files from 1.
    pub sequence: u64,
    /// The file's name.
    pub file: String,
    /// When it was written, by the box's clock.
    pub written: UtcNanos,
    /// Head of the file before.
    pub previous: Hash,
    /// SHA-256 of the manifest.
    pub manifest: Hash,
    /// Whose signature it is.
    pub key: PublicKey,
    /// Over the head's text.
    pub signature: SignatureText,
}

fn head_text(sequence: u64, file: &str, written: UtcNanos, previous: Hash, manifest: Hash) -> String {
    format!(
        "cellwarden-evidence 1\nsequence {sequence}\nfile {file}\nwritten {written}\nprevious {previous}\n\
         manifest {manifest}\n"
    )
}

impl Seal {
    pub(crate) fn new(
        keys: &Keys,
        sequence: u64,
        file: &str,
        written: UtcNanos,
        previous: Hash,
        manifest: Hash,
    ) -> Self {
        let text = head_text(sequence, file, written, previous, manifest);
        let signature = keys.sign(text.as_bytes());
        Self { sequence, file: file.to_owned(), written, previous, manifest, key: keys.public(), signature }
    }

    /// What is signed. Its hash is the head.
    fn text(&self) -> String {
        head_text(self.sequence, &self.file, self.written, self.previous, self.manifest)
    }

    /// The SHA-256 that stands for this file and all before it.
    pub fn head(&self) -> Hash {
        Hash::of(self.text().as_bytes())
    }

    /// Whether the signature is that of the key that it names.
    pub fn is_signed(&self) -> bool {
        self.key.fits(self.text().as_bytes(), &self.signature)
    }

    /// As it stands in the file.
    pub(crate) fn to_line(&self) -> String {
        serde_json::to_string(self).expect("invariant: numbers and texts are JSON") + "\n"
    }

    /// Reads what [`to_line`](Self::to_line) writes, and nothing that only looks like it.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let seal: Self = serde_json::from_str(line).ok()?;
        (seal.to_line() == line).then_some(seal)
    }
}

/// Says that a file was deleted as the rules want it, and not by somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tombstone {
    /// Of the file that was deleted.
    pub sequence: u64,
    /// Its name.
    pub file: String,
    /// Its head.
    pub head: Hash,
    /// When, by the box's clock.
    pub deleted: UtcNanos,
    /// Why.
    pub reason: String,
    /// Over all that.
    pub signature: SignatureText,
}

fn tombstone_text(sequence: u64, file: &str, head: Hash, deleted: UtcNanos, reason: &str) -> String {
    format!(
        "cellwarden-evidence-deletion 1\nsequence {sequence}\nfile {file}\nhead {head}\ndeleted {deleted}\n\
         reason {reason}\n"
    )
}

impl Tombstone {
    pub(crate) fn new(keys: &Keys, seal: &Seal, deleted: UtcNanos, reason: &str) -> Self {
        let (sequence, head) = (seal.sequence, seal.head());
        let signature = keys.sign(tombstone_text(sequence, &seal.file, head, deleted, reason).as_bytes());
        Self { sequence, file: seal.file.clone(), head, deleted, reason: reason.to_owned(), signature }
    }

    /// Whether it is that of the file that `seal` stands for, signed by the same key.
    pub fn fits(&self, seal: &Seal) -> bool {
        let text = tombstone_text(self.sequence, &self.file, self.head, self.deleted, &self.reason);
        (self.sequence, &self.file, self.head) == (seal.sequence, &seal.file, seal.head())
            && seal.key.fits(text.as_bytes(), &self.signature)
    }
}
