//! Makes a hit again from its burst records.

use cellwarden_locate::{SensorInfo, Site, join};
use cellwarden_types::{Burst, Hit};
use serde::Serialize;
use serde_json::{Map, Value};
use std::sync::mpsc;
use std::time::Duration;

/// A hit of the most bursts that a file holds takes seconds; a hostile file must not take for ever.
const WAIT: Duration = Duration::from_secs(120);
/// On another machine numbers may differ in their last digits.
const RELATIVE: f64 = 1e-6;

/// Whether the bursts of a file give its hit.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "remade")]
pub enum Remade {
    /// The same hit, to the last bit.
    Exactly,
    /// The same but for the last digits of numbers, as on a processor of another kind.
    WithinRounding,
    /// Another one: these fields differ.
    Differs {
        /// Field, stored value, value made again.
        fields: Vec<String>,
    },
    /// The bursts give no hit of this start.
    NoSuchHit {
        /// How many other hits they give.
        others: usize,
    },
    /// It was not tried.
    NotTried {
        /// Why.
        why: String,
    },
}

impl Remade {
    /// Whether the hit follows from the bursts.
    pub fn fits(&self) -> bool {
        matches!(self, Self::Exactly | Self::WithinRounding)
    }

    /// In words, why the hit does not follow from the bursts; none where it does.
    pub(crate) fn why_not(&self) -> Option<String> {
        match self {
            Self::Exactly | Self::WithinRounding => None,
            Self::Differs { fields } => Some(format!("made again, it is another: {}", fields.join("; "))),
            Self::NoSuchHit { others } => {
                Some(format!("its bursts do not give it: they give {others} hits that begin at other times"))
            }
            Self::NotTried { why } => Some(format!("it could not be made again: {why}")),
        }
    }
}

fn fields(hit: &Hit) -> Option<Map<String, Value>> {
    let Ok(Value::Object(mut fields)) = serde_json::to_value(hit) else { return None };
    // All is joined in one go: every hit is reported once, closed. A run reports one as it grows, so that `state` is the
    // same (only closed hits are kept) and `revision` counts reports, which nothing here tells.
    fields.remove("state");
    fields.remove("revision");
    // The number behind an id tells hits apart that begin as one; hits before these bursts count for it.
    if let Some(Value::String(id)) = fields.get_mut("id") {
        if let Some((plain, number)) = id.rsplit_once('-') {
            if !number.is_empty() && number.len() <= 4 && number.bytes().all(|b| b.is_ascii_digit()) {
                *id = plain.to_owned();
            }
        }
    }
    Some(fields)
}

fn same(a: &Value, b: &Value, slack: f64) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) if x.is_f64() && y.is_f64() => {
            let (x, y) = (x.as_f64().unwrap_or(f64::NAN), y.as_f64().unwrap_or(f64::NAN));
            x == y || (x - y).abs() <= slack * x.abs().max(y.abs()).max(1.0)
        }
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y, slack)),
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(k, x)| y.get(k).is_some_and(|y| same(x, y, slack)))
        }
        _ => a == b,
    }
}

fn differences(stored: &Hit, made: &Hit, slack: f64) -> Vec<String> {
    let (Some(stored), Some(made)) = (fields(stored), fields(made)) else { return vec!["it is no JSON".to_owned()] };
    let nothing = Value::Null;
    let differ = stored.iter().filter_map(|(key, a)| {
        let b = made.get(key).unwrap_or(&nothing);
        (!same(a, b, slack)).then(|| format!("{key}: {a} stored, {b} made again"))
    });
    differ.collect()
}

/// Makes hits from `bursts`, and compares the one that begins where `stored` does.
pub(crate) fn compare(stored: &Hit, bursts: Vec<Burst>, sensors: &[SensorInfo], site: Option<&Site>) -> Remade {
    let hits = join(bursts, sensors, site);
    let begins = |h: &&Hit| (h.start_s - stored.start_s).abs() <= 2e-9 * stored.start_s.abs().max(1.0);
    let mut best: Option<Vec<String>> = None;
    for hit in hits.iter().filter(begins) {
        if differences(stored, hit, 0.0).is_empty() {
            return Remade::Exactly;
        }
        let fields = differences(stored, hit, RELATIVE);
        if best.as_ref().is_none_or(|b| fields.len() < b.len()) {
            best = Some(fields);
        }
    }
    match best {
        None => Remade::NoSuchHit { others: hits.len() },
        Some(fields) if fields.is_empty() => Remade::WithinRounding,
        Some(fields) => Remade::Differs { fields },
    }
}

/// The same for records of a stranger: neither a panic nor an endless run of the joiner reaches the caller.
pub(crate) fn compare_guarded(
    stored: Hit,
    bursts: Vec<Burst>,
    sensors: Vec<SensorInfo>,
    site: Option<String>,
) -> Remade {
    let (send, receive) = mpsc::channel();
    let work = move || {
        let site = match site.map(|text| Site::parse(&text, "/site")).transpose() {
            Err(e) => return send.send(Remade::NotTried { why: format!("the site file is not good: {e}") }),
            Ok(site) => site,
        };
        send.send(compare(&stored, bursts, &sensors, site.as_ref()))
    };
    // Not joined: one that does not end is left to the end of the process.
    let thread = std::thread::Builder::new().name("remake".to_owned()).spawn(work);
    match thread.map(|_| receive.recv_timeout(WAIT)) {
        Ok(Ok(remade)) => remade,
        Ok(Err(mpsc::RecvTimeoutError::Timeout)) => {
            Remade::NotTried { why: format!("it was not done after {} s", WAIT.as_secs()) }
        }
        Ok(Err(_)) => Remade::NotTried { why: "cellwarden failed on these records".to_owned() },
        Err(e) => Remade::NotTried { why: format!("no thread: {e}") },
    }
}
