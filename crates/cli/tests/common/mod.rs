//! The command, run.
#![allow(dead_code)] // each test file uses its part

#[cfg(feature = "soapy")]
pub mod receiver;

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A file of `testdata/golden`, or the folder itself for "".
pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/golden").join(name)
}

/// Runs the command with nothing on standard input.
pub fn cellwarden(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cellwarden")).args(args).stdin(Stdio::null()).output().expect("the binary runs")
}

/// Standard output and standard error of a run that must succeed.
pub fn good(args: &[&str]) -> (String, String) {
    let output = cellwarden(args);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(0), "{args:?}: {err}");
    (out, err)
}

/// The records of `replay --bursts`, with `more` arguments.
pub fn replay(more: &[&str]) -> Vec<Value> {
    let (out, _) = good(&[&["replay", "--bursts", "--format", "jsonl"], more].concat());
    records(&out)
}

/// JSON Lines, read.
pub fn records(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("one JSON object a line")).collect()
}

/// The hits among records.
pub fn hits(records: &[Value]) -> Vec<&Value> {
    records.iter().filter(|r| r["type"] == "hit").collect()
}
