//! What Prometheus reads: OpenMetrics text. `docs/metrics.md` explains each name.

use crate::counts::{Counts, STANDARDS};
use crate::deaf::{Judgement, Verdict};
use crate::processing::{Processing, ProcessingVerdict};
use crate::state::State;
use cellwarden_types::{BoxHealth, SelfTestCount, SensorHealth, SensorState};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;

/// The content type of what [`render`] writes.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics, as they are now.
pub(crate) fn render(state: &mut State) -> Result<String, fmt::Error> {
    let verdicts = state.verdicts().to_vec();
    let processing = state.processing();
    let scrape = Scrape {
        age_s: state.age_s(),
        processor_s: state.history.processor_s(),
        clock_steps: state.history.clock_steps(),
        hits: state.history.hits().map(|(block, n)| (block.to_owned(), n)).collect(),
        sensors: state
            .latest()
            .iter()
            .flat_map(|h| &h.sensors)
            .filter_map(|s| {
                let verdict = verdicts.iter().find(|v| *v.sensor == *s.sensor).cloned();
                let processing = processing.iter().find(|p| *p.sensor == *s.sensor).cloned();
                Some(Sensor { total: *state.history.total(&s.sensor)?, now: s.clone(), verdict, processing })
            })
            .collect(),
        health: state.latest().map(|h| BoxHealth { sensors: Vec::new(), ..h.clone() }),
    };
    let mut registry = Registry::with_prefix("cellwarden");
    registry.register_collector(Box::new(scrape));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Sensor {
    now: SensorHealth,
    total: Counts,
    verdict: Option<Verdict>,
    processing: Option<ProcessingVerdict>,
}

#[derive(Debug)]
struct Scrape {
    age_s: Option<f64>,
    processor_s: f64,
    clock_steps: u64,
    hits: Vec<(String, u64)>,
    sensors: Vec<Sensor>,
    health: Option<BoxHealth>,
}

type Labels<'a> = Vec<(&'a str, &'a str)>;

fn unit(name: &str) -> Unit {
    match name {
        "seconds" => Unit::Seconds,
        "bytes" => Unit::Bytes,
        "celsius" => Unit::Celsius,
        other => Unit::Other(other.to_owned()),
    }
}

/// A gauge: its name without the unit, the unit if it has one, what it says, and a value for each set of labels.
fn gauge<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, of): (&str, &str),
    help: &str,
    rows: impl Iterator<Item = (Labels<'a>, f64)>,
) -> fmt::Result {
    let unit = (!of.is_empty()).then(|| unit(of));
    let kind = ConstGauge::new(0.0).metric_type();
    let mut family = encoder.encode_descriptor(name, help, unit.as_ref(), kind)?;
    for (labels, value) in rows {
        ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

/// A counter, likewise.
fn counter<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, of): (&str, &str),
    help: &str,
    rows: impl Iterator<Item = (Labels<'a>, u64)>,
) -> fmt::Result {
    let unit = (!of.is_empty()).then(|| unit(of));
    let kind = ConstCounter::new(0u64).metric_type();
    let mut family = encoder.encode_descriptor(name, help, unit.as_ref(), kind)?;
    for (labels, value) in rows {
        ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn of_box(value: Option<f64>) -> impl Iterator<Item = (Labels<'static>, f64)> {
    value.into_iter().map(|v| (Labels::new(), v))
}

impl Scrape {
    fn gauges<'a>(&'a self, value: impl Fn(&'a Sensor) -> Option<f64> + 'a) -> impl Iterator<Item = (Labels<'a>, f64)> {
        self.sensors.iter().filter_map(move |s| Some((s.labels(), value(s)?)))
    }

    fn counters<'a>(&'a self, value: impl Fn(&Counts) -> u64 + 'a) -> impl Iterator<Item = (Labels<'a>, u64)> {
        self.sensors.iter().map(move |s| (s.labels(), value(&s.total)))
    }

    /// A counter by cause.
    fn causes<'a, const N: usize>(
        &'a self,
        values: impl Fn(&Counts) -> [(&'static str, u64); N] + 'a,
    ) -> impl Iterator<Item = (Labels<'a>, u64)> {
        let of = move |s: &'a Sensor| values(&s.total).map(|(cause, n)| (s.labels_and("cause", cause), n));
        self.sensors.iter().flat_map(of)
    }

    fn encode_box(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let health = self.health.as_ref();
        let version = health.map_or("", |h| h.software.as_str()).to_owned();
        let config = health.map_or("", |h| h.config_sha256.as_str()).to_owned();
        let info = Info::new(vec![("version", version), ("config_sha256", config)]);
        let help = "Name and version of the software, and the SHA-256 of its configuration";
        info.encode(encoder.encode_descriptor("build", help, None, info.metric_type())?)?;
        let e = encoder;
        gauge(
            e,
            ("snapshot_age", "seconds"),
            "Age of the last snapshot: above 10 the daemon hangs",
            of_box(self.age_s),
        )?;
        let started = health.map(|h| h.started.0 as f64 * 1e-9);
        gauge(e, ("start_time", "seconds"), "When the daemon started, in Unix time", of_box(started))?;
        let help = "Processor time of the daemon and its capture processes";
        let mut family =
            e.encode_descriptor("processor", help, Some(&Unit::Seconds), ConstCounter::new(0.0).metric_type())?;
        ConstCounter::new(self.processor_s).encode(family.encode_family(&Labels::new())?)?;
        let memory = health.map(|h| h.memory_bytes as f64);
        gauge(e, ("memory", "bytes"), "Resident memory of the daemon and its capture processes", of_box(memory))?;
        let trouble = health.map(|h| f64::from(u8::from(h.store_trouble.is_some())));
        gauge(e, ("store_trouble", ""), "1 while the store cannot do all of its work", of_box(trouble))?;
        let steps = std::iter::once((Labels::new(), self.clock_steps));
        counter(e, ("clock_steps", ""), "Steps of the host's UTC by more than 2 s", steps)?;
        let hits = self.hits.iter().map(|(block, n)| (vec![("block", block.as_str())], *n));
        counter(e, ("hits", ""), "Closed hits", hits)
    }

    fn encode_sensors(&self, e: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let is = |yes: bool| f64::from(u8::from(yes));
        let listening = self.gauges(move |s| Some(is(s.now.state == SensorState::Listening)));
        gauge(e, ("sensor_listening", ""), "1 while samples move", listening)?;
        let judged = |least| self.gauges(move |s| s.verdict.as_ref().map(|v| is(v.judgement >= least)));
        gauge(
            e,
            ("sensor_suspect", ""),
            "1 if the sensor is suspected to hear less, or is deaf",
            judged(Judgement::Suspect),
        )?;
        gauge(e, ("sensor_deaf", ""), "1 if the sensor does not hear what it should", judged(Judgement::Deaf))?;
        let fails = self.gauges(move |s| s.processing.as_ref().map(|p| is(p.judgement == Processing::Failing)));
        gauge(
            e,
            ("sensor_processing_failing", ""),
            "1 if it does not find the test bursts added to its samples",
            fails,
        )?;
        let change = self.gauges(|s| s.verdict.as_ref()?.floor_change_db);
        gauge(e, ("sensor_floor_change", "decibels"), "Noise floor against its value at commissioning", change)?;
        let change = self.gauges(|s| s.verdict.as_ref()?.ambient_change_db);
        gauge(
            e,
            ("sensor_ambient_change", "decibels"),
            "Median level of ambient carriers against commissioning",
            change,
        )?;
        let now = |value: fn(&SensorHealth) -> Option<f64>| self.gauges(move |s| value(&s.now));
        gauge(e, ("sensor_center", "hertz"), "What the radio is tuned to", now(|s| Some(s.center.0)))?;
        gauge(e, ("sensor_rate", "hertz"), "Complex samples per second", now(|s| Some(s.rate.0)))?;
        gauge(e, ("sensor_gain", "decibels"), "Overall gain", now(|s| s.gain_db))?;
        let floor = now(|s| s.floor_dbfs_per_hz);
        gauge(e, ("sensor_floor", "dbfs_per_hertz"), "Noise density in the middle of the band", floor)?;
        let drift = now(|s| s.drift_ppm);
        gauge(e, ("sensor_clock_drift", "ppm"), "How much faster the device's clock goes than the host's", drift)?;
        let uncertainty = now(|s| s.time_uncertainty_s);
        gauge(e, ("sensor_time_uncertainty", "seconds"), "What times of its samples are right to", uncertainty)?;
        gauge(e, ("sensor_temperature", "celsius"), "Temperature of the device", now(|s| s.temperature_celsius))?;
        counter(
            e,
            ("sensor_expected", "samples"),
            "Samples that there should have been",
            self.counters(|c| c.expected),
        )?;
        counter(
            e,
            ("sensor_processed", "samples"),
            "Samples that the detector worked on",
            self.counters(|c| c.processed),
        )?;
        let lost = self.causes(|c| {
            let overflow = c.overflow.saturating_sub(c.disconnected);
            [("overflow", overflow), ("disconnected", c.disconnected), ("dropped", c.dropped)]
        });
        counter(e, ("sensor_lost", "samples"), "Samples that were never seen, by cause", lost)?;
        let unjudged = self.causes(|c| [("overload", c.overload), ("depth", c.deep_skipped), ("unusable", c.unusable)]);
        counter(
            e,
            ("sensor_unjudged", "samples"),
            "Samples that were seen but not judged in full, by cause",
            unjudged,
        )?;
        counter(
            e,
            ("sensor_retune", "samples"),
            "Samples thrown away on the way to another centre",
            self.counters(|c| c.retune),
        )?;
        counter(
            e,
            ("sensor_places_skipped", ""),
            "Places of faint preambles that were not searched, because others were likelier",
            self.counters(|c| c.places_skipped),
        )?;
        counter(e, ("sensor_clipped", "samples"), "Samples at full scale", self.counters(|c| c.clipped))?;
        counter(e, ("sensor_restarts", ""), "How often the device was started anew", self.counters(|c| c.restarts))?;
        let bursts = self.sensors.iter().flat_map(|s| {
            STANDARDS.iter().zip(s.total.bursts).map(|(standard, n)| (s.labels_and("standard", standard.name()), n))
        });
        counter(e, ("sensor_bursts", ""), "Bursts by standard", bursts)?;
        self.encode_self_tests(e)
    }
}

impl Scrape {
    fn encode_self_tests(&self, e: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let tests = |value: fn(&SelfTestCount) -> u64| {
            self.sensors.iter().flat_map(move |s| {
                s.now.self_test.iter().map(move |t| {
                    let more =
                        vec![("band", t.band.as_str()), ("standard", t.standard.name()), ("kind", t.kind.name())];
                    ([s.labels(), more].concat(), value(t))
                })
            })
        };
        let help = "Test bursts, added to the samples in memory, that should have been found";
        counter(e, ("sensor_self_tests", ""), help, tests(|t| t.tests))?;
        counter(
            e,
            ("sensor_self_tests_found", ""),
            "Test bursts at whose place something was found",
            tests(|t| t.found),
        )?;
        counter(e, ("sensor_self_tests_named", ""), "Test bursts found by standard and kind", tests(|t| t.named))?;
        counter(e, ("sensor_self_tests_void", ""), "Test bursts that were disturbed", tests(|t| t.void))
    }
}

impl Sensor {
    fn labels(&self) -> Labels<'_> {
        vec![("sensor", &*self.now.sensor), ("device", self.now.device.as_str())]
    }

    fn labels_and<'a>(&'a self, name: &'a str, value: &'a str) -> Labels<'a> {
        [self.labels(), vec![(name, value)]].concat()
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.encode_box(&mut encoder)?;
        self.encode_sensors(&mut encoder)
    }
}
