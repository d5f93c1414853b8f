//! A file that takes room on the disk only to give it up: to delete from a full disk's database takes room, too.

use crate::limits::LOG_BYTES;
use rustix::fs::{FallocateFlags, fallocate, statvfs};
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// The reserve is taken only where so many times its size is free.
const SPARE: u64 = 4;

#[derive(Debug)]
pub(crate) struct Reserve {
    path: PathBuf,
    bytes: u64,
    held: bool,
}

impl Reserve {
    pub fn new(path: PathBuf, bytes: u64) -> Self {
        // One that was killed while it was made holds nothing.
        let held = bytes > 0 && path.metadata().is_ok_and(|m| m.len() >= bytes);
        Self { path, bytes, held }
    }

    /// Takes the room, where there is plenty; whether there is.
    pub fn take(&mut self) -> bool {
        if self.held {
            return true;
        }
        let plenty = self.bytes.max(LOG_BYTES) * SPARE;
        if free_bytes(&self.path).is_none_or(|free| free < plenty) {
            return false;
        }
        if self.bytes == 0 {
            return true;
        }
        self.held = self.allocate().is_ok();
        if !self.held {
            let _ = std::fs::remove_file(&self.path); // half a reserve is in the way
        }
        self.held
    }

    fn allocate(&self) -> io::Result<()> {
        let file: File = OpenOptions::new().write(true).create(true).truncate(true).open(&self.path)?;
        Ok(fallocate(&file, FallocateFlags::empty(), 0, self.bytes)?)
    }

    /// Gives the room up; whether that made any.
    pub fn give_up(&mut self) -> bool {
        let had = self.held;
        self.held = false;
        had && std::fs::remove_file(&self.path).is_ok()
    }
}

/// What is free on the disk of `path`, for a user who is not root.
pub(crate) fn free_bytes(path: &Path) -> Option<u64> {
    let disk = statvfs(path.parent()?).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}
