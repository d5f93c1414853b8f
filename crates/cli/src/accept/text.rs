//! A sheet in words.

use cellwarden_evidence::{Sheet, SheetPlace};
use cellwarden_health::status::{CLIP_SHARE, LOST_SHARE};
use std::collections::BTreeMap;

/// A sheet, line by line.
pub fn lines(sheet: &Sheet) -> String {
    let mut text = format!(
        "sensor {} ({}), {}\nwritten {} by {}\nsoftware {}, configuration {}\n",
        sheet.sensor,
        sheet.device,
        sheet.site.as_deref().unwrap_or("no site file"),
        sheet.written,
        sheet.by.as_deref().unwrap_or("nobody who said so"),
        sheet.software,
        sheet.config_sha256,
    );
    for (file, sha256) in &sheet.files_sha256 {
        text += &format!("configuration {file} {sha256}\n");
    }
    text += &format!(
        "{} at {} samples/s, gain {}, floor {}\n",
        sheet.center_hz,
        sheet.rate_hz.0,
        number(sheet.gain_db, 1.0, 1, "dB"),
        number(sheet.floor_dbfs_per_hz, 1.0, 1, "dBFS/Hz")
    );
    for place in &sheet.places {
        text += &format!("{}\n", line(place));
    }
    text + if sheet.accepted() {
        "accepted: heard from every place\n"
    } else {
        "NOT ACCEPTED: not heard from every place\n"
    }
}

/// What a sensor heard from a place.
pub fn line(place: &SheetPlace) -> String {
    let heard = if place.heard { "heard" } else { "NOT HEARD" };
    let mut parts = vec![format!("{}: {heard} ({} to {})", place.place, place.from, place.to)];
    if place.heard {
        parts.push(number(place.level_dbfs, 1.0, 1, "dBFS"));
        parts.push(number(place.clipping_margin_db, 1.0, 1, "dB below full scale"));
    }
    let mut kinds: BTreeMap<String, (usize, f64)> = BTreeMap::new();
    for hit in &place.hits {
        let kind = format!("{} {} in {}", hit.standard.name(), hit.activity.name(), hit.block);
        let (count, confidence) = kinds.entry(kind).or_default();
        (*count, *confidence) = (*count + 1, confidence.max(hit.confidence));
    }
    parts.extend(kinds.iter().map(|(kind, (count, confidence))| format!("{count} {kind}, confidence {confidence:.2}")));
    let bursts: Vec<String> = place.bursts.iter().map(|(standard, n)| format!("{n} {standard}")).collect();
    parts.push(format!("bursts: {}", if bursts.is_empty() { "none".to_owned() } else { bursts.join(", ") }));
    parts.push(number(place.clip_share, 100.0, 3, "% clipped"));
    parts.push(number(place.lost_share, 100.0, 3, "% lost"));
    parts.push(format!("floor {}", number(place.floor_dbfs_per_hz, 1.0, 1, "dBFS/Hz")));
    if place.clip_share.is_some_and(|s| s >= CLIP_SHARE) {
        parts.push("IT CLIPS: lower the gain, or put an attenuator in".to_owned());
    }
    if place.lost_share.is_some_and(|s| s >= LOST_SHARE) {
        parts.push("SAMPLES ARE LOST: look at the USB port and the processor's load".to_owned());
    }
    parts.join("; ")
}

fn number(value: Option<f64>, scale: f64, digits: usize, unit: &str) -> String {
    value.map_or_else(|| format!("? {unit}"), |v| format!("{:.digits$} {unit}", v * scale))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cellwarden_evidence::SheetHit;
    use cellwarden_types::{Activity, Standard, UtcNanos};

    #[test]
    fn a_place_is_one_line_that_says_what_to_do() {
        let hit = |confidence| SheetHit {
            id: "x".to_owned(),
            standard: Standard::Gsm,
            activity: Activity::Voice,
            level_dbfs: -20.0,
            block: "A".to_owned(),
            confidence,
        };
        let place = SheetPlace {
            place: "door".to_owned(),
            from: UtcNanos(0),
            to: UtcNanos(1),
            heard: true,
            hits: vec![hit(0.9), hit(0.99)],
            bursts: BTreeMap::from([("gsm".to_owned(), 80)]),
            level_dbfs: Some(-20.0),
            clipping_margin_db: Some(20.0),
            clip_share: Some(0.02),
            lost_share: Some(0.0),
            floor_dbfs_per_hz: None,
        };
        let text = line(&place);
        for words in ["door: heard", "2 gsm voice in A, confidence 0.99", "80 gsm", "IT CLIPS", "floor ? dBFS/Hz"] {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(!text.contains("SAMPLES ARE LOST"), "{text}");
        let silent = line(&SheetPlace { heard: false, hits: Vec::new(), lost_share: Some(0.5), ..place });
        assert!(silent.contains("door: NOT HEARD") && silent.contains("SAMPLES ARE LOST"), "{silent}");
    }
}
