//! `--format sigmf`: the recordings' own metadata with the bursts as annotations, for any viewer that reads SigMF.

use cellwarden_iq::{Annotation, Capture, RecordingInfo, SigmfHeader, sigmf_meta_json};
use cellwarden_report::Sink;
use cellwarden_report::round::rounded;
use cellwarden_types::{Burst, Record};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::sync::Arc;

/// A recording's metadata, and the bursts that were found in it.
pub struct Document {
    sensor: Arc<str>,
    header: SigmfHeader,
    captures: Vec<Capture>,
    /// The name of a data file that is no SigMF pair's, or nothing where no reader of SigMF could use it.
    dataset: Option<Option<String>>,
    bursts: Vec<Burst>,
}

impl Document {
    /// What `info` says of the recording of `sensor`. Its own annotations are left out: they are somebody else's word.
    pub fn new(sensor: &str, info: &RecordingInfo) -> Self {
        let first = info.captures.first();
        let file = info.path.file_name().map(|n| n.to_string_lossy().into_owned());
        Self {
            sensor: Arc::from(sensor),
            header: SigmfHeader {
                format: info.format,
                rate: info.rate,
                center: first.map_or_else(Default::default, |c| c.center),
                time: first.and_then(|c| c.time),
                sensor: Some(sensor.to_owned()),
                description: info.description.clone().unwrap_or_default(),
                recorder: String::new(),
            },
            captures: info.captures.clone(),
            dataset: match info.container {
                "SigMF" => None,
                "raw" => Some(file),
                _ => Some(None),
            },
            bursts: Vec::new(),
        }
    }

    fn finish(mut self) -> Value {
        self.bursts
            .sort_by(|a, b| a.sample_start.cmp(&b.sample_start).then(a.freq_lower_hz.total_cmp(&b.freq_lower_hz)));
        let annotations: Vec<Annotation> = self.bursts.iter().map(annotation).collect();
        let mut meta = sigmf_meta_json(&self.header, &self.captures, &annotations, None);
        match self.dataset {
            None => {}
            Some(Some(name)) => meta["global"]["core:dataset"] = name.into(),
            Some(None) => meta["global"]["core:metadata_only"] = true.into(),
        }
        meta
    }
}

fn annotation(b: &Burst) -> Annotation {
    let number = |name: &str, value: f64| (format!("cellwarden:{name}"), json!(value));
    Annotation {
        sample_start: b.sample_start,
        sample_count: b.sample_count,
        freq_lower_hz: Some(b.freq_lower_hz),
        freq_upper_hz: Some(b.freq_upper_hz),
        label: Some(format!("{}/{}", b.standard.name(), b.kind.name())),
        comment: Some(format!("{} dBFS, SNR {} dB, confidence {}", b.power_dbfs, b.snr_db, b.confidence)),
        extra: [("power_dbfs", b.power_dbfs), ("snr_db", b.snr_db), ("confidence", b.confidence)]
            .map(|(name, value)| number(name, value))
            .into_iter()
            .chain([("core:generator".to_owned(), json!(concat!("cellwarden ", env!("CARGO_PKG_VERSION"))))])
            .collect(),
    }
}

/// Keeps the bursts and writes one document at the end, or an array of them where several recordings were replayed.
pub struct SigmfSink<W> {
    out: W,
    documents: Vec<Document>,
}

impl<W: Write> SigmfSink<W> {
    /// Writes to `out`; a burst goes to its sensor's document.
    pub fn new(out: W, documents: Vec<Document>) -> Self {
        Self { out, documents }
    }
}

impl<W: Write> Sink for SigmfSink<W> {
    fn record(&mut self, record: &Record) -> io::Result<()> {
        if let Record::Burst(burst) = rounded(record) {
            let mut documents = self.documents.iter_mut();
            if let Some(document) = documents.find(|d| d.sensor == burst.sensor) {
                document.bursts.push(burst);
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        let mut all: Vec<Value> = self.documents.drain(..).map(Document::finish).collect();
        let document = if all.len() == 1 { all.remove(0) } else { Value::Array(all) };
        serde_json::to_writer_pretty(&mut self.out, &document)?;
        self.out.write_all(b"\n")?;
        self.out.flush()
    }
}
