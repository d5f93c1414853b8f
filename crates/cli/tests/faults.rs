//! What receivers do wrong, through the real SoapySDR library: the daemon lives, the other devices go on, the sensor is
//! back, and each sample is counted where it was lost.
#![cfg(feature = "soapy")]

mod common;

use common::golden;
use common::receiver::{CENTER, Daemon, RATE_HZ, SAMPLES, assert_closed, device, gaps, ledger};
use serde_json::Value;

/// A configuration of two devices: one that does wrong, with two channels, and one that does not.
fn two_devices(faults: &str) -> String {
    let (bad, good) = (device(&format!(",state=STATE,channels=2,faults={faults}")), device(""));
    format!(
        "[[device]]\nname = 'bad'\nsoapy = '{bad}'\nrate = '1M'\ngain = 20\n\
         [[device.channel]]\nsensor = 'one'\ncenter = '{CENTER}'\n\
         [[device.channel]]\nsensor = 'two'\nnumber = 1\ncenter = '{CENTER}'\n\
         [[device]]\nname = 'good'\nsoapy = '{good}'\nrate = '1M'\ngain = {{ LNA = 10, VGA = 12 }}\n\
         [[device.channel]]\nsensor = 'other'\ncenter = '{CENTER}'\n"
    )
}

/// Bursts of a sensor that begin after its last gap.
fn bursts_since_last_gap(records: &[Value], sensor: &str) -> usize {
    let last = records.iter().rposition(|r| r["type"] == "gap" && r["sensor"] == sensor).map_or(0, |i| i + 1);
    records[last..].iter().filter(|r| r["type"] == "burst" && r["sensor"] == sensor && r["standard"] == "gsm").count()
}

#[test]
fn every_loss_is_counted_to_the_sample_and_times_go_on() {
    let faults = "lose@300000:10007;overflow@700000:5003;corrupt@1100000:20011;late@1400000:150;jump@1600000:3600000;\
                  jump@1800000:-7200000;lose@2100000:250000;clip@2600000:60000";
    let daemon = Daemon::start(&two_devices(faults));
    daemon.wait_for("bursts after the last fault", |r| {
        !gaps(r, "two", "overload").is_empty() && bursts_since_last_gap(r, "two") > 10
    });
    let (records, ran) = daemon.end();
    assert_closed(&records, &["one", "two", "other"]);
    for sensor in ["one", "two"] {
        assert_eq!(gaps(&records, sensor, "overflow"), [10_007, 5_003, 20_011, 250_000], "{sensor}");
        assert_eq!(ledger(&records, sensor, "disconnected"), 0);
        // Blocks are judged whole.
        let overload = ledger(&records, sensor, "overload");
        assert!((52_000..=68_000).contains(&overload), "{overload}");
    }
    assert_eq!(ledger(&records, "other", "overflow"), 0);
    let wall = ran.as_secs_f64() * RATE_HZ as f64;
    for sensor in ["one", "two", "other"] {
        let expected = ledger(&records, sensor, "expected") as f64;
        assert!((expected / wall - 1.0).abs() < 0.25, "{sensor}: {expected} of {wall}");
    }
    // The recording is played again and again: each burst lies where it lay, to the sample.
    let text = std::fs::read_to_string(golden("gsm.jsonl")).expect("the golden answer");
    let known: Vec<f64> = common::records(&text)
        .iter()
        .filter(|r| r["type"] == "burst" && r["standard"] == "gsm")
        .map(|r| r["sample_start"].as_f64().expect("a place"))
        .collect();
    let mut seen = 0;
    for burst in records.iter().filter(|r| r["type"] == "burst" && r["standard"] == "gsm" && r["sensor"] != "other") {
        let place = (burst["start_s"].as_f64().expect("s") * RATE_HZ as f64) % SAMPLES as f64;
        let off = known.iter().map(|k| (k - place).abs()).fold(f64::INFINITY, f64::min);
        assert!(off <= 1.6, "{off} samples off: {burst}");
        seen += 1;
    }
    assert!(seen > 100, "{seen}");
}

#[test]
fn a_device_that_fails_in_any_way_is_back_within_5_s_and_the_other_goes_on() {
    let faults = "error@400000;timeout@1500000:3500;unplug@7000000:1500;crash@11000000;hang@13000000";
    let daemon = Daemon::start(&two_devices(faults));
    daemon.wait_for("the device to come back five times", |r| {
        gaps(r, "one", "disconnect").len() == 5 && bursts_since_last_gap(r, "one") > 10
    });
    let log = daemon.log();
    let (records, ran) = daemon.end();
    assert_closed(&records, &["one", "two", "other"]);
    for sensor in ["one", "two"] {
        let away: Vec<f64> = gaps(&records, sensor, "disconnect").iter().map(|&n| n as f64 / RATE_HZ as f64).collect();
        // Of the third, the device itself was away for 1.5 s; of the second, it was silent before it was given up.
        let most = [5.0, 5.0, 6.5, 5.0, 5.0];
        assert!(away.len() == 5 && away.iter().zip(most).all(|(a, most)| *a < most), "{away:?}");
    }
    for word in ["StreamError", "gave no samples", "unplugged", "died", "hangs"] {
        assert!(log.contains(word), "{word}: {log}");
    }
    // The other device lost nothing, and heard the same call every half second.
    assert_eq!(ledger(&records, "other", "expected"), ledger(&records, "other", "processed"));
    let heard =
        records.iter().filter(|r| r["type"] == "burst" && r["sensor"] == "other" && r["standard"] == "gsm").count();
    assert!(heard as f64 > 50.0 * (ran.as_secs_f64() - 2.0), "{heard} in {ran:?}");
}

#[test]
fn a_device_that_comes_back_with_another_rate_is_heard_at_that_rate() {
    let daemon = Daemon::start(&two_devices("rate@500000:2000000"));
    daemon.wait_for("the device to come back", |r| !gaps(r, "two", "disconnect").is_empty());
    std::thread::sleep(std::time::Duration::from_secs(1));
    let log = daemon.log();
    let (records, _) = daemon.end();
    assert_closed(&records, &["one", "two", "other"]);
    assert!(log.contains("came back with another sample rate"), "{log}");
}

#[test]
fn without_hardware_time_a_loss_is_at_least_a_sample_and_the_sensor_goes_on() {
    let config = two_devices("overflow@300000:10007;corrupt@600000:7").replace("channels=2", "channels=2,timeless=1");
    let daemon = Daemon::start(&config);
    daemon.wait_for("two gaps", |r| gaps(r, "one", "overflow").len() == 2 && bursts_since_last_gap(r, "one") > 10);
    let (records, _) = daemon.end();
    assert_closed(&records, &["one", "two", "other"]);
}

#[test]
fn every_native_format_is_heard_at_the_same_level() {
    for format in ["CS8", "CS12", "CS16", "CF32"] {
        let daemon =
            Daemon::start(&two_devices("").replace("channels=2,faults=", &format!("channels=2,format={format}")));
        daemon.wait_for("bursts", |r| bursts_since_last_gap(r, "one") > 20);
        let (records, _) = daemon.end();
        let levels: Vec<f64> = records
            .iter()
            .filter(|r| r["type"] == "burst" && r["standard"] == "gsm" && r["sensor"] == "one" && r["kind"] == "normal")
            .map(|r| r["power_dbfs"].as_f64().expect("a level"))
            .collect();
        let mean = levels.iter().sum::<f64>() / levels.len() as f64;
        assert!((mean + 33.5).abs() < 0.5, "{format}: {mean}");
    }
}
