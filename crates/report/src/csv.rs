//! Comma-separated values: a header, then a line per hit or per burst.

use crate::Sink;
use crate::round::rounded;
use cellwarden_types::Record;
use std::io::{self, Write};

pub struct Csv<W: Write> {
    out: ::csv::Writer<W>,
    bursts: bool,
    begun: bool,
}

impl<W: Write> Csv<W> {
    pub fn new(out: W, bursts: bool) -> Self {
        Self { out: ::csv::Writer::from_writer(out), bursts, begun: false }
    }

    fn header(&mut self) -> io::Result<()> {
        if self.begun {
            return Ok(());
        }
        self.begun = true;
        let names: &[&str] = if self.bursts {
            &[
                "sensor",
                "time",
                "start_s",
                "duration_s",
                "sample_start",
                "sample_count",
                "freq_lower_hz",
                "freq_upper_hz",
                "standard",
                "kind",
                "band",
                "channel",
                "power_dbfs",
                "snr_db",
                "confidence",
            ]
        } else {
            &[
                "id",
                "block",
                "block_probability",
                "cell",
                "standard",
                "band",
                "activity",
                "start_s",
                "end_s",
                "time_start",
                "time_end",
                "bursts",
                "peak_power_dbfs",
                "snr_db",
                "confidence",
            ]
        };
        Ok(self.out.write_record(names)?)
    }
}

fn text<T: ToString>(value: Option<&T>) -> String {
    value.map(T::to_string).unwrap_or_default()
}

impl<W: Write> Sink for Csv<W> {
    fn record(&mut self, record: &Record) -> io::Result<()> {
        self.header()?;
        match rounded(record) {
            Record::Burst(b) if self.bursts => self.out.write_record([
                b.sensor.to_string(),
                text(b.time.as_ref()),
                b.start_s.to_string(),
                b.duration_s.to_string(),
                b.sample_start.to_string(),
                b.sample_count.to_string(),
                b.freq_lower_hz.to_string(),
                b.freq_upper_hz.to_string(),
                b.standard.name().to_owned(),
                b.kind.name().to_owned(),
                text(b.band.as_ref()),
                text(b.channel.as_ref()),
                b.power_dbfs.to_string(),
                b.snr_db.to_string(),
                b.confidence.to_string(),
            ])?,
            Record::Hit(h) if !self.bursts => self.out.write_record([
                h.id.clone(),
                h.block.clone(),
                h.block_probability.get(&h.block).map(f64::to_string).unwrap_or_default(),
                text(h.cell.as_ref()),
                h.standard.name().to_owned(),
                text(h.band.as_ref()),
                h.activity.name().to_owned(),
                h.start_s.to_string(),
                h.end_s.to_string(),
                text(h.time_start.as_ref()),
                text(h.time_end.as_ref()),
                h.bursts.to_string(),
                h.peak_power_dbfs.to_string(),
                h.snr_db.to_string(),
                h.confidence.to_string(),
            ])?,
            _ => {}
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.header()?;
        self.out.flush()
    }
}
