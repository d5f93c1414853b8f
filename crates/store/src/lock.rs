//! One writer at a time: a lock that the kernel takes back when its process ends, however that comes.

use crate::StoreError;
use crate::link::beside;
use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;

/// That no process writes the store at `path` at this moment: a daemon that runs does, as long as it runs.
///
/// # Errors
/// If one does, or the lock cannot be looked at.
pub fn nobody_writes(path: &Path) -> Result<(), StoreError> {
    let lock = beside(path, ".lock");
    if lock.exists() { Lock::take(path, &lock).map(drop) } else { Ok(()) }
}

#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of the store at `path`, whose lock file is `lock`.
    pub fn take(path: &Path, lock: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::File { doing: "opening the lock", path: lock.to_owned(), source };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(lock).map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut text = String::new();
                let _ = (&mut file).take(20).read_to_string(&mut text); // who it is only helps
                let holder = text.trim().parse().map_or(String::new(), |n: u32| format!(" (process {n})"));
                return Err(StoreError::InUse { path: path.to_owned(), holder });
            }
            Err(errno) => return Err(failed(errno.into())),
        }
        // On a full disk there is no number, but a lock all the same.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self { _file: file })
    }
}
