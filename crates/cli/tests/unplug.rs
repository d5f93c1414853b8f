//! A receiver that is unplugged and plugged again 200 times.
#![cfg(feature = "soapy")]

mod common;

use common::receiver::{CENTER, Daemon, RATE_HZ, assert_closed, device};
use serde_json::Value;
use std::time::{Duration, Instant};

const TIMES: u64 = 200;
/// From one to the next, in samples: it is away for 0.9 s at most, and is looked for once a second.
const PERIOD: u64 = 3 * RATE_HZ;

/// How long it is away, in milliseconds: spread over what a hand does.
fn away_ms(n: u64) -> u64 {
    50 + n * 397 % 850
}

fn disconnects(records: &[Value]) -> Vec<usize> {
    let is = |r: &Value| r["type"] == "gap" && r["reason"] == "disconnect";
    (0..records.len()).filter(|&i| is(&records[i])).collect()
}

/// `cargo test --release -p cellwarden-cli --features soapy --test unplug -- --ignored --nocapture` prints the figures.
#[test]
#[ignore = "takes ten minutes"]
fn a_receiver_that_is_unplugged_200_times_is_back_each_time() {
    let faults: Vec<String> = (0..TIMES).map(|n| format!("unplug@{}:{}", (n + 1) * PERIOD, away_ms(n))).collect();
    let radio = device(&format!(",state=STATE,faults={}", faults.join(";")));
    let daemon = Daemon::start(&format!(
        "[[device]]\nname = 'west'\nsoapy = '{radio}'\nrate = '1M'\ngain = 20\n\
         [[device.channel]]\nsensor = 'one'\ncenter = '{CENTER}'\n"
    ));
    let until = Instant::now() + Duration::from_secs((TIMES + 10) * PERIOD / RATE_HZ);
    while disconnects(&daemon.records()).len() < TIMES as usize && Instant::now() < until {
        std::thread::sleep(Duration::from_secs(2));
    }
    std::thread::sleep(Duration::from_secs(1));
    let (records, _) = daemon.end();
    let gaps = disconnects(&records);
    assert_eq!(gaps.len() as u64, TIMES);
    for (n, &gap) in gaps.iter().enumerate() {
        let end = gaps.get(n + 1).copied().unwrap_or(records.len());
        let heard = records[gap..end].iter().filter(|r| r["type"] == "burst" && r["standard"] == "gsm").count();
        assert!(heard > 10, "after time {n}: {heard} bursts");
    }
    let back_s = |(n, &gap): (usize, &usize)| {
        let count = records[gap]["sample_count"].as_u64().expect("a count");
        count as f64 / RATE_HZ as f64 - away_ms(n as u64) as f64 / 1e3
    };
    let mut back: Vec<f64> = gaps.iter().enumerate().map(back_s).collect();
    back.sort_by(f64::total_cmp);
    println!("from plugged to listening: median {:.2} s, most {:.2} s", back[back.len() / 2], back[back.len() - 1]);
    assert!(back[0] > 0.0 && back[back.len() - 1] < 5.0, "{back:?}");
    assert_closed(&records, &["one"]);
}
