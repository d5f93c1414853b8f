//! A sheet in words.

use cellwarden_evidence::{Sheet, SheetPlace};

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
    for hit in &place.hits {
        parts.push(format!(
            "{} {} in {}, confidence {}",
            hit.standard.name(),
            hit.activity.name(),
            hit.block,
            hit.confidence
        ));
    }
    let bursts: Vec<String> = place.bursts.iter().map(|(standard, n)| format!("{n} {standard}")).collect();
    parts.push(format!("bursts: {}", if bursts.is_empty() { "none".to_owned() } else { bursts.join(", ") }));
    parts.push(number(place.clip_share, 100.0, 3, "% clipped"));
    parts.push(number(place.lost_share, 100.0, 3, "% lost"));
    parts.push(format!("floor {}", number(place.floor_dbfs_per_hz, 1.0, 1, "dBFS/Hz")));
    parts.join("; ")
}

fn number(value: Option<f64>, scale: f64, digits: usize, unit: &str) -> String {
    value.map_or_else(|| format!("? {unit}"), |v| format!("{:.digits$} {unit}", v * scale))
}
