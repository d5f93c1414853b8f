//! A ring of slots for samples in memory that two processes share.

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The ring's head: how many slots the reader has given back, as a little-endian `u64`.
const HEAD_BYTES: u64 = 4096;

/// Shared memory: a head, then slots of equal size that are filled and given back in turn.
#[derive(Debug)]
pub(crate) struct Ring {
    file: File,
    slots: u64,
    slot_bytes: u64,
}

impl Ring {
    /// Memory of its own, which is gone with the last process that holds it.
    pub(crate) fn create(slots: u64, slot_bytes: u64) -> io::Result<Self> {
        let file = File::from(memfd_create("cellwarden-samples", MemfdFlags::CLOEXEC)?);
        ftruncate(&file, HEAD_BYTES + slots * slot_bytes)?;
        Ok(Self { file, slots, slot_bytes })
    }

    /// The memory that another process made with as many slots of the same size.
    ///
    /// # Errors
    /// If it is of another size.
    pub(crate) fn open(file: File, slots: u64, slot_bytes: u64) -> io::Result<Self> {
        let bytes = file.metadata()?.len();
        if slots == 0 || slot_bytes.checked_mul(slots).and_then(|b| b.checked_add(HEAD_BYTES)) != Some(bytes) {
            return Err(io::Error::other(format!(
                "the shared memory has {bytes} bytes, not {slots} slots of {slot_bytes}"
            )));
        }
        Ok(Self { file, slots, slot_bytes })
    }

    /// What another process needs to open it.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Bytes of a slot.
    pub(crate) fn slot_bytes(&self) -> u64 {
        self.slot_bytes
    }

    /// Slots.
    pub(crate) fn slots(&self) -> u64 {
        self.slots
    }

    /// Writes into the slot of turn `turn`. The writer sees to it that the turn before it in the slot was given back.
    pub(crate) fn write(&self, turn: u64, bytes: &[u8]) -> io::Result<()> {
        debug_assert!(bytes.len() as u64 <= self.slot_bytes);
        self.file.write_all_at(bytes, self.place(turn))
    }

    /// Reads what was written in turn `turn`.
    pub(crate) fn read(&self, turn: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(bytes, self.place(turn))
    }

    /// How many turns the reader has given back.
    pub(crate) fn given_back(&self) -> io::Result<u64> {
        let mut count = [0; 8];
        self.file.read_exact_at(&mut count, 0)?;
        Ok(u64::from_le_bytes(count))
    }

    /// Gives back all turns before `turn`.
    pub(crate) fn give_back(&self, turn: u64) -> io::Result<()> {
        self.file.write_all_at(&turn.to_le_bytes(), 0)
    }

    fn place(&self, turn: u64) -> u64 {
        HEAD_BYTES + turn % self.slots * self.slot_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_turn_by_turn_by_another_opening() {
        let ring = Ring::create(3, 100).expect("shared memory");
        let other = Ring::open(ring.file().try_clone().expect("a handle"), 3, 100).expect("opens");
        for turn in 0..20u64 {
            ring.write(turn, &[turn as u8; 77]).expect("writes");
            let mut bytes = [0; 77];
            other.read(turn, &mut bytes).expect("reads");
            assert_eq!(bytes, [turn as u8; 77]);
            other.give_back(turn + 1).expect("gives back");
            assert_eq!(ring.given_back().expect("reads"), turn + 1);
        }
    }

    #[test]
    fn memory_of_another_size_is_refused() {
        let ring = Ring::create(3, 100).expect("shared memory");
        for (slots, bytes) in [(2, 100), (3, 99), (0, 0), (u64::MAX, u64::MAX)] {
            assert!(Ring::open(ring.file().try_clone().expect("a handle"), slots, bytes).is_err());
        }
    }
}
