//! The way out: one SigMF recording, written as it is made.

use crate::SimError;
use crate::scene::Scene;
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

pub struct Annotation {
    pub sample_start: u64,
    pub sample_count: u64,
    pub freq_lower_hz: Option<f64>,
    pub freq_upper_hz: Option<f64>,
    pub label: Option<String>,
    pub comment: Option<String>,
    pub extra: Map<String, Value>,
}

pub struct Recording {
    data: BufWriter<File>,
    stem: PathBuf,
    meta: Value,
    notes: Vec<Value>,
}

impl Recording {
    pub fn create(stem: &Path, scene: &Scene, sensor: &str, description: &str) -> Result<Self, SimError> {
        let mut name = stem.as_os_str().to_owned();
        name.push(".sigmf-data");
        let file = File::create(&name).map_err(|e| SimError::Write {
            path: stem.to_owned(),
            source: e.into(),
        })?;
        let meta = json!({"global": {"core:datatype": scene.file.format.sigmf_name(), "core:sample_rate": scene.file.rate.0,
            "core:version": "1.2.0", "core:description": description, "cellwarden:sensor": sensor},
            "captures": [{"core:sample_start": 0, "core:frequency": scene.file.center.0, "core:datetime": scene.time.map(|t| t.to_string())}]});
        Ok(Self {
            data: BufWriter::new(file),
            stem: stem.to_owned(),
            meta,
            notes: Vec::new(),
        })
    }
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), SimError> {
        self.data.write_all(bytes).map_err(|e| SimError::Write {
            path: self.stem.clone(),
            source: e.into(),
        })
    }
    pub fn annotate(&mut self, a: Annotation) -> Result<(), SimError> {
        let mut o = a.extra;
        o.insert("core:sample_start".into(), a.sample_start.into());
        o.insert("core:sample_count".into(), a.sample_count.into());
        o.insert("core:freq_lower_edge".into(), a.freq_lower_hz.into());
        o.insert("core:freq_upper_edge".into(), a.freq_upper_hz.into());
        o.insert("core:label".into(), a.label.into());
        let _ = a.comment;
        self.notes.push(o.into());
        Ok(())
    }
    pub fn finish(mut self) -> Result<PathBuf, SimError> {
        let err = |path: &Path, e: std::io::Error| SimError::Write {
            path: path.to_owned(),
            source: e.into(),
        };
        self.data.flush().map_err(|e| err(&self.stem, e))?;
        self.meta["annotations"] = self.notes.into();
        let mut name = self.stem.as_os_str().to_owned();
        name.push(".sigmf-meta");
        std::fs::write(&name, self.meta.to_string()).map_err(|e| err(&self.stem, e))?;
        Ok(name.into())
    }
}
