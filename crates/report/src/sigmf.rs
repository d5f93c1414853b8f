//! SigMF annotations: each burst a box in time and frequency, for any viewer that reads SigMF.

use crate::Sink;
use crate::round::rounded;
use cellwarden_types::{Burst, Record};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{self, Write};

pub struct Sigmf<W> {
    out: W,
    by_sensor: BTreeMap<String, Vec<Burst>>,
}

impl<W: Write> Sigmf<W> {
    pub fn new(out: W) -> Self {
        Self { out, by_sensor: BTreeMap::new() }
    }
}

fn annotation(b: &Burst) -> Value {
    json!({
        "core:sample_start": b.sample_start,
        "core:sample_count": b.sample_count,
        "core:freq_lower_edge": b.freq_lower_hz,
        "core:freq_upper_edge": b.freq_upper_hz,
        "core:label": format!("{}/{}", b.standard.name(), b.kind.name()),
        "core:comment": format!("{} dBFS, SNR {} dB, confidence {}", b.power_dbfs, b.snr_db, b.confidence),
        "core:generator": "cellwarden",
    })
}

impl<W: Write> Sink for Sigmf<W> {
    fn record(&mut self, record: &Record) -> io::Result<()> {
        if let Record::Burst(b) = rounded(record) {
            self.by_sensor.entry(b.sensor.to_string()).or_default().push(b);
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        let mut all: Vec<Value> = Vec::new();
        for (sensor, bursts) in &mut self.by_sensor {
            // SigMF wants annotations by their start.
            bursts.sort_by_key(|b| b.sample_start);
            all.push(
                json!({"cellwarden:sensor": sensor, "annotations": bursts.iter().map(annotation).collect::<Vec<_>>()}),
            );
        }
        let document = if all.len() == 1 { all.remove(0) } else { Value::Array(all) };
        serde_json::to_writer_pretty(&mut self.out, &document)?;
        self.out.write_all(b"\n")?;
        self.out.flush()
    }
}
