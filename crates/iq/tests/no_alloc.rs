//! Reading takes no memory after opening, so a 100 GB recording takes what a small one takes.

#![allow(clippy::unwrap_used)] // clippy.toml allows it in tests, but not in their helpers

use assert_no_alloc::{AllocDisabler, assert_no_alloc};
use cellwarden_iq::{Capture, OpenOptions, SigmfHeader, SigmfWriter, open};
use cellwarden_types::{Hertz, SampleFormat, UtcNanos};
use std::path::PathBuf;

#[global_allocator]
static ALLOCATOR: AllocDisabler = AllocDisabler;

#[test]
fn chunks_are_read_without_allocating() {
    let folder = tempfile::tempdir().unwrap();
    let header = SigmfHeader {
        format: SampleFormat::Cs16,
        rate: Hertz(1e6),
        center: Hertz(9e8),
        time: Some(UtcNanos(0)),
        sensor: None,
        description: String::new(),
        recorder: String::new(),
    };
    let mut writer = SigmfWriter::create(&folder.path().join("r"), header).unwrap();
    writer.write(&[1; 40_000]).unwrap();
    writer.capture(Capture { sample_start: 777, center: Hertz(1e9), time: None, global_index: Some(9000) });
    let meta = writer.finish().unwrap();
    let data = PathBuf::from(format!("cs16:{}", meta.with_extension("sigmf-data").display()));
    let options = OpenOptions { rate: Some(Hertz(1e6)), center: Some(Hertz(9e8)), ..OpenOptions::default() };
    for path in [meta, data] {
        let mut recording = open(&path, &options).unwrap();
        let mut buf = vec![0; 4096];
        let bytes = assert_no_alloc(|| {
            let mut bytes = 0;
            while let Ok(Some(chunk)) = recording.next_chunk(&mut buf) {
                bytes += chunk.bytes;
            }
            bytes
        });
        assert_eq!(bytes, 40_000);
    }
}
