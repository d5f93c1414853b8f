//! Marks on evidence files that are not to be deleted. They are files beside them, so that they can be set while a daemon has
//! the folder open: it looks for the mark before it deletes.

use crate::chain::{EXTENSION, KEEP, file_name, is_file_name};
use crate::error::{EvidenceError, io_at, sync_folder};
use std::fs;
use std::path::{Path, PathBuf};

/// Marks all evidence of a hit in the folder `dir`, with a reason, or takes the marks away where there is none. Returns the
/// files' names: none if there is no evidence of it, or not yet.
///
/// # Errors
/// If the folder cannot be read or a mark not be set.
pub fn keep_hit(dir: &Path, hit: &str, reason: Option<&str>) -> Result<Vec<String>, EvidenceError> {
    let mut files = Vec::new();
    let after_number = |name: &str| name.split_once('-').map(|(_, rest)| rest.to_owned());
    let of_hit = after_number(&file_name(0, hit));
    for entry in fs::read_dir(dir).map_err(io_at("listing", dir))? {
        let name = entry.map_err(io_at("listing", dir))?.file_name().to_string_lossy().into_owned();
        if name.ends_with(EXTENSION) && is_file_name(&name) && after_number(&name) == of_hit {
            set(dir, &name, reason)?;
            files.push(name);
        }
    }
    files.sort();
    Ok(files)
}

/// Where the mark of a file is.
pub(crate) fn mark_of(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}{KEEP}"))
}

/// Sets the mark of a file, or takes it away.
pub(crate) fn set(dir: &Path, name: &str, reason: Option<&str>) -> Result<(), EvidenceError> {
    let mark = mark_of(dir, name);
    match reason {
        Some(reason) => fs::write(&mark, format!("{reason}\n")).map_err(io_at("marking", &mark))?,
        None => match fs::remove_file(&mark) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(io_at("deleting", &mark)(e)),
            _ => {}
        },
    }
    sync_folder(dir)
}
