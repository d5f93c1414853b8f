//! What the writer writes passes the public SigMF validator.
//!
//! It is not part of the workspace. To run this test:
//! ```sh
//! python3 -m venv /tmp/venv-sigmf && /tmp/venv-sigmf/bin/pip install sigmf
//! CELLWARDEN_SIGMF_VALIDATE=/tmp/venv-sigmf/bin/sigmf_validate cargo test -p cellwarden-iq --test validate
//! ```
//! Without the variable the test does nothing.

#![allow(clippy::unwrap_used)] // clippy.toml allows it in tests, but not in their helpers

use cellwarden_iq::{Annotation, Capture, SigmfHeader, SigmfWriter, write_annotations_only};
use cellwarden_types::{Hertz, SampleFormat};
use std::path::{Path, PathBuf};
use std::process::Command;

fn header(format: SampleFormat) -> SigmfHeader {
    SigmfHeader {
        format,
        rate: Hertz(1_083_333.25),
        center: Hertz(902.4e6),
        time: Some("2026-03-01T06:00:00.000000001Z".parse().unwrap()),
        sensor: Some("north".into()),
        description: "two \"captures\"".into(),
        recorder: "cellwarden 0.1.0".into(),
    }
}

fn annotations() -> Vec<Annotation> {
    let mut extra = serde_json::Map::new();
    extra.insert("truth:phone".into(), 3.into());
    extra.insert("cellwarden:confidence".into(), 0.5.into());
    // In the wrong order, and with edges that JSON cannot say.
    vec![
        Annotation {
            sample_start: 600,
            sample_count: 10,
            freq_lower_hz: Some(f64::NAN),
            extra,
            ..Annotation::default()
        },
        Annotation {
            sample_start: 5,
            sample_count: 148,
            freq_lower_hz: Some(902.3e6),
            freq_upper_hz: Some(902.5e6),
            label: Some("gsm/access".into()),
            comment: Some("é".into()),
            ..Annotation::default()
        },
    ]
}

/// Runs the validator; warnings (undeclared extensions) count as failures.
fn validate(validator: &Path, meta: &Path) {
    let mut command = Command::new(validator);
    let output = command.arg(meta).env("PYTHONWARNINGS", "error").output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", meta.display());
    assert!(!errors.contains("Warning"), "{}: {errors}", meta.display());
}

#[test]
fn written_recordings_pass_the_public_validator() {
    let Some(validator) = std::env::var_os("CELLWARDEN_SIGMF_VALIDATE").map(PathBuf::from) else { return };
    let folder = tempfile::tempdir().unwrap();
    for format in SampleFormat::ALL {
        let mut writer = SigmfWriter::create(&folder.path().join(format.name()), header(format)).unwrap();
        writer.write(&vec![7; 1000 * format.bytes_per_sample()]).unwrap();
        writer.capture(Capture { sample_start: 500, center: Hertz(1.8e9), time: None, global_index: Some(1500) });
        annotations().into_iter().for_each(|a| writer.annotate(a));
        let meta = writer.finish().unwrap();
        validate(&validator, &meta);
        // Wrong samples must fail, or the checksum is not looked at.
        std::fs::write(meta.with_extension("sigmf-data"), vec![8; 1000 * format.bytes_per_sample()]).unwrap();
        assert!(!Command::new(&validator).arg(&meta).output().unwrap().status.success());
    }
    let path = folder.path().join("bare");
    let meta = write_annotations_only(&path, &header(SampleFormat::Cs16), &[], &annotations()).unwrap();
    validate(&validator, &meta);
}
