//! The table for people: hits per block, then what each sensor heard and lost.

use crate::Sink;
use crate::round::rounded;
use cellwarden_types::{Burst, Hit, Record, SensorLedger, Summary};
use std::io::{self, Write};

pub struct Table<W> {
    out: W,
    colour: bool,
    live: bool,
    hits: Vec<Hit>,
    begun: bool,
}

impl<W: Write> Table<W> {
    pub fn new(out: W, colour: bool, live: bool) -> Self {
        Self { out, colour, live, hits: Vec::new(), begun: false }
    }

    fn burst(&mut self, b: &Burst) -> io::Result<()> {
        writeln!(
            self.out,
            "{:>12.6} s  {:<12} {:<7} {:<7} {:>10.4} MHz {:>7.0} us {:>7.1} dBFS {:>6.1} dB  {:.2}",
            b.start_s,
            b.sensor,
            b.standard.name(),
            b.kind.name(),
            (b.freq_lower_hz + b.freq_upper_hz) / 2e6,
            b.duration_s * 1e6,
            b.power_dbfs,
            b.snr_db,
            b.confidence
        )
    }

    fn hit(&mut self, h: &Hit) -> io::Result<()> {
        if !self.begun {
            self.begun = true;
            let (bold, plain) = if self.colour { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
            let state = if self.live { "STATE    " } else { "" };
            writeln!(
                self.out,
                "{bold}{state}{:<12} {:>10} {:>8}  {:<8} {:<8} {:<13} {:>7} {:>11} {:>6}  {:>6}{plain}",
                "BLOCK", "FROM s", "LENGTH s", "STANDARD", "BAND", "ACTIVITY", "BURSTS", "LEVEL dBFS", "SURE", "PLACE"
            )?;
        }
        if self.live {
            write!(self.out, "{:<9}", h.state.name())?;
        }
        writeln!(
            self.out,
            "{:<12} {:>10.3} {:>8.3}  {:<8} {:<8} {:<13} {:>7} {:>11.1} {:>6}  {:>6}",
            h.cell.as_deref().unwrap_or(&h.block),
            h.start_s,
            h.end_s - h.start_s,
            h.standard.name(),
            h.band.as_deref().unwrap_or("-"),
            h.activity.name(),
            h.bursts,
            h.peak_power_dbfs,
            percent(h.confidence),
            percent(h.block_probability.get(&h.block).copied().unwrap_or(0.0))
        )
    }

    fn summary(&mut self, s: &Summary) -> io::Result<()> {
        let mut hits = std::mem::take(&mut self.hits);
        hits.sort_by(|a, b| a.block.cmp(&b.block).then(a.start_s.total_cmp(&b.start_s)));
        for hit in &hits {
            self.hit(hit)?;
        }
        if s.hits.is_empty() {
            writeln!(self.out, "No phone was heard in {:.1} s.", s.seconds)?;
        }
        writeln!(self.out)?;
        for (name, ledger) in &s.sensors {
            let drift = s.drift_ppm.get(name).map_or(String::new(), |ppm| format!("; its clock goes {ppm:+.1} ppm"));
            writeln!(self.out, "sensor {name}: {}{drift}", ledger_in_words(ledger))?;
        }
        writeln!(self.out, "{:.1} s in {:.1} s ({:.1} times real time)", s.seconds, s.wall_s, s.realtime_factor)
    }
}

/// Where a sensor's samples went; causes that took none are left out.
fn ledger_in_words(ledger: &SensorLedger) -> String {
    let causes = [
        (ledger.overflow, "lost before they reached us"),
        (ledger.dropped, "dropped because the detectors did not keep up"),
        (ledger.overload, "overloaded"),
    ];
    let lost: u64 = causes.iter().map(|(n, _)| n).sum();
    let said: Vec<String> = causes.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    let lost = if lost == 0 {
        "nothing lost".to_owned()
    } else {
        format!("{lost} samples LOST: not heard ({})", said.join(", "))
    };
    let shallow = match ledger.deep_skipped {
        0 => String::new(),
        n => format!("; {n} looked at for energy only"),
    };
    // As it was told to: no loss.
    let retune = match ledger.retune {
        0 => String::new(),
        n => format!("; {n} thrown away on the way to another centre"),
    };
    let places = match ledger.places_skipped {
        0 => String::new(),
        n => format!("; {n} places of faint preambles not searched"),
    };
    format!("{} samples, {lost}{shallow}{retune}{places}", ledger.processed)
}

/// A probability for people, to whom nothing is certain.
pub fn percent(p: f64) -> String {
    match p {
        p if p >= 0.995 => ">99%".to_owned(),
        p if p < 0.005 => "<1%".to_owned(),
        p => format!("{:.0}%", p * 100.0),
    }
}

impl<W: Write> Sink for Table<W> {
    fn record(&mut self, record: &Record) -> io::Result<()> {
        match rounded(record) {
            Record::Burst(b) => self.burst(&b),
            Record::Hit(h) if self.live => self.hit(&h),
            Record::Hit(h) => {
                self.hits.push(h);
                Ok(())
            }
            Record::Gap(g) => {
                writeln!(self.out, "gap: {} lost {} samples at sample {}", g.sensor, g.sample_count, g.sample_start)
            }
            Record::Summary(s) => self.summary(&s),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_heard_is_said_with_its_cause() {
        let all = SensorLedger { expected: 100, processed: 100, ..SensorLedger::default() };
        assert_eq!(ledger_in_words(&all), "100 samples, nothing lost");
        let lossy = SensorLedger { processed: 60, overflow: 30, dropped: 7, overload: 3, deep_skipped: 20, ..all };
        assert_eq!(
            ledger_in_words(&lossy),
            "60 samples, 40 samples LOST: not heard (30 lost before they reached us, 7 dropped because the detectors did not \
             keep up, 3 overloaded); 20 looked at for energy only"
        );
        let hops = SensorLedger { processed: 82, retune: 18, ..all };
        assert_eq!(ledger_in_words(&hops), "82 samples, nothing lost; 18 thrown away on the way to another centre");
    }
}
