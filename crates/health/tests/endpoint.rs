//! The endpoint over loopback, as Prometheus, a technician and a hostile client meet it.

mod common;

use cellwarden_health::{AmbientCarrier, AmbientLevels, Commissioning, Error, Health, HealthConfig, Status};
use cellwarden_types::{Kind, SelfTestCount, SensorState, Standard};
use common::{advance, sensor, snapshot};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const ANY_PORT: &str = "127.0.0.1:0";

fn start(config: HealthConfig) -> Health {
    Health::start(ANY_PORT.parse().expect("an address"), config).expect("starts")
}

/// Status code and body of a GET.
fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(5)))
        .http_status_as_error(false)
        .proxy(None)
        .build()
        .into();
    let mut response = agent.get(format!("http://{address}{path}")).call().expect("an answer");
    (response.status().as_u16(), response.body_mut().read_to_string().expect("a body"))
}

/// What comes back for these bytes, until the connection is closed.
fn raw(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(8))).expect("a time limit");
    let _ = stream.write_all(request);
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// One metric family.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    unit: Option<String>,
    help: String,
    /// Value by name and labels.
    samples: BTreeMap<String, f64>,
    labels: BTreeSet<String>,
}

/// A strict reader of OpenMetrics text: every line in its place, or it panics.
fn parse(text: &str) -> BTreeMap<String, Family> {
    let body = text.strip_suffix("# EOF\n").expect("the end is marked");
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    for line in body.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (keyword, name, rest) = (words.next(), words.next().expect("a name"), words.next().expect("a text"));
            if keyword == Some("HELP") {
                assert!(!families.contains_key(name), "{name} is there twice");
                name.clone_into(&mut current);
            }
            assert_eq!(name, current, "{line}: not in its family");
            let family = families.entry(name.to_owned()).or_default();
            assert!(family.samples.is_empty(), "{line}: after its samples");
            match keyword {
                Some("HELP") => rest.clone_into(&mut family.help),
                Some("TYPE") => rest.clone_into(&mut family.kind),
                Some("UNIT") => family.unit = Some(rest.to_owned()),
                _ => panic!("{line}"),
            }
            continue;
        }
        let family = families.get_mut(&current).unwrap_or_else(|| panic!("{line}: no family"));
        let (series, value) = line.rsplit_once(' ').expect("a value");
        let (name, labels) =
            series.split_once('{').map_or((series, ""), |(n, l)| (n, l.strip_suffix('}').expect("a brace")));
        let suffix = match family.kind.as_str() {
            "counter" => "_total",
            "info" => "_info",
            "gauge" => "",
            kind => panic!("{kind}"),
        };
        assert_eq!(name, format!("{current}{suffix}"), "{line}");
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{name}");
        family.labels.extend(label_names(labels));
        let value: f64 = value.parse().expect("a number");
        assert!(value.is_finite(), "{line}");
        assert!(family.samples.insert(series.to_owned(), value).is_none(), "{series} is there twice");
    }
    families
}

/// Names of `a="…",b="…"`, with every escape as it must be.
fn label_names(labels: &str) -> Vec<String> {
    let (mut names, mut rest) = (Vec::new(), labels);
    while !rest.is_empty() {
        let (name, value) = rest.split_once("=\"").expect("a label");
        names.push(name.to_owned());
        let mut bytes = value.char_indices();
        let end = loop {
            match bytes.next().expect("a closing quote") {
                (_, '\\') => assert!(matches!(bytes.next(), Some((_, '\\' | '"' | 'n'))), "{labels}"),
                (i, '"') => break i,
                (_, c) => assert_ne!(c, '\n'),
            }
        };
        rest = &value[end + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    names
}

fn busy() -> cellwarden_types::BoxHealth {
    let mut one = sensor("a-west");
    one.bursts.insert("gsm".to_owned(), 12);
    one.self_test.push(SelfTestCount {
        band: "GSM900".to_owned(),
        standard: Standard::Gsm,
        kind: Kind::Normal,
        snr_db: 12.0,
        tests: 120,
        found: 119,
        named: 118,
        void: 2,
    });
    let mut other = sensor("quo\"te\\and\nline");
    (other.temperature_celsius, other.drift_ppm) = (None, Some(f64::NAN));
    snapshot(vec![one, other])
}

const UNITS: [&str; 10] =
    ["seconds", "bytes", "samples", "hertz", "decibels", "dbfs_per_hertz", "ppm", "celsius", "info", ""];
/// What is counted, or is yes or no, has no unit.
const WITHOUT_UNIT: [&str; 14] = [
    "store_trouble",
    "clock_steps",
    "hits",
    "sensor_listening",
    "sensor_suspect",
    "sensor_deaf",
    "sensor_restarts",
    "sensor_places_skipped",
    "sensor_bursts",
    "sensor_processing_failing",
    "sensor_self_tests",
    "sensor_self_tests_found",
    "sensor_self_tests_named",
    "sensor_self_tests_void",
];

#[test]
fn metrics_are_strict_and_counters_never_decrease() {
    let commissioning =
        vec![Commissioning { sensor: "a-west".to_owned(), floor_dbfs_per_hz: -148.0, ..Default::default() }];
    let health = start(HealthConfig { commissioning, ..HealthConfig::default() });
    let mut snapshot = busy();
    health.publish(snapshot.clone());
    let (code, text) = get(health.address(), "/metrics");
    assert_eq!(code, 200);
    let first = parse(&text);
    for (name, family) in &first {
        let short = name.strip_prefix("cellwarden_").unwrap_or_else(|| panic!("{name}: no prefix"));
        assert!(!family.help.is_empty() && !family.kind.is_empty(), "{name}");
        match &family.unit {
            Some(unit) => {
                assert!(UNITS.contains(&unit.as_str()) && short.ends_with(&format!("_{unit}")), "{name}: {unit}")
            }
            None => assert!(WITHOUT_UNIT.contains(&short) || short == "build", "{name} has no unit"),
        }
        let allowed: &[&str] = if short == "build" {
            &["version", "config_sha256"]
        } else {
            &["sensor", "device", "standard", "kind", "band", "block", "cause"]
        };
        assert!(family.labels.iter().all(|l| allowed.contains(&l.as_str())), "{name}: {:?}", family.labels);
    }
    let value = |families: &BTreeMap<String, Family>, name: &str, series: &str| families[name].samples[series];
    let bursts = "cellwarden_sensor_bursts_total{sensor=\"a-west\",device=\"a-west-radio\",standard=\"gsm\"}";
    assert_eq!(value(&first, "cellwarden_sensor_bursts", bursts), 12.0);
    assert_eq!(value(&first, "cellwarden_hits", "cellwarden_hits_total{block=\"A\"}"), 3.0);
    assert!(text.contains("cellwarden_build_info{version=\"cellwarden 0.1.0\""), "{text}");
    let missing = "cellwarden_sensor_temperature_celsius{sensor=\"quo";
    assert!(!text.contains(missing), "what is not known is left out: {text}");

    // The second snapshot's counters began anew: the exported ones go on.
    advance(&mut snapshot, 2.0);
    health.publish(snapshot.clone());
    let before = parse(&get(health.address(), "/metrics").1);
    for one in &mut snapshot.sensors {
        one.ledger = Default::default();
        one.bursts = BTreeMap::from([("gsm".to_owned(), 1)]);
    }
    (snapshot.processor_s, snapshot.hits) = (0.1, BTreeMap::from([("A".to_owned(), 1), ("B".to_owned(), 1)]));
    health.publish(snapshot);
    let after = parse(&get(health.address(), "/metrics").1);
    let mut grown = 0;
    for families in [(&first, &before), (&before, &after)] {
        for (name, family) in families.0.iter().filter(|(_, f)| f.kind == "counter") {
            for (series, &was) in &family.samples {
                let now = families.1[name].samples[series];
                assert!(now >= was, "{series}: {was} to {now}");
                grown += usize::from(now > was);
            }
        }
    }
    assert!(grown > 5, "{grown}");
    assert_eq!(value(&after, "cellwarden_sensor_bursts", bursts), 13.0);
}

#[test]
fn every_metric_stands_in_the_documents_and_no_other() {
    let health = start(HealthConfig::default());
    health.publish(busy());
    let families = parse(&get(health.address(), "/metrics").1);
    let suffix = |f: &Family| match f.kind.as_str() {
        "counter" => "_total",
        "info" => "_info",
        _ => "",
    };
    let exported: BTreeSet<String> = families.iter().map(|(n, f)| format!("{n}{}", suffix(f))).collect();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
    let text = std::fs::read_to_string(path).expect("docs/metrics.md");
    let documented: BTreeSet<String> = text
        .lines()
        .filter_map(|l| l.strip_prefix("| `cellwarden_")?.split_once('`'))
        .map(|(name, _)| format!("cellwarden_{name}"))
        .collect();
    assert_eq!(exported, documented);
    // A rule that names a metric which is not there never fires.
    let rules = text.split("```yaml").nth(1).expect("alert rules").split("```").next().unwrap();
    let named: Vec<&str> = rules
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|w| w.starts_with("cellwarden_"))
        .collect();
    assert!(named.len() >= 10 && named.iter().all(|n| exported.contains(*n)), "{named:?}");
}

#[test]
fn healthz_names_what_does_not_listen() {
    let health = start(HealthConfig::default());
    let (code, body) = get(health.address(), "/healthz");
    assert_eq!((code, body.contains("no snapshot yet")), (503, true), "{body}");
    let mut snapshot = busy();
    health.publish(snapshot.clone());
    assert_eq!(get(health.address(), "/healthz"), (200, "{\"listening\":true,\"wrong\":[]}\n".to_owned()));
    snapshot.sensors[0].state = SensorState::Down;
    snapshot.sensors[0].last_error = Some("no device with serial 7".to_owned());
    health.publish(snapshot.clone());
    let (code, body) = get(health.address(), "/healthz");
    let said: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((code, &said["listening"]), (503, &false.into()));
    let wrong = said["wrong"][0].as_str().unwrap();
    assert!(wrong.contains("a-west") && wrong.contains("down") && wrong.contains("serial 7"), "{wrong}");
    snapshot.sensors.clear();
    health.publish(snapshot);
    assert_eq!(get(health.address(), "/healthz").0, 503);
}

#[test]
fn a_stale_snapshot_is_a_daemon_that_hangs() {
    let health = start(HealthConfig { stale_after: Duration::from_millis(400), ..HealthConfig::default() });
    health.publish(busy());
    assert_eq!(get(health.address(), "/healthz").0, 200);
    std::thread::sleep(Duration::from_millis(500));
    let (code, body) = get(health.address(), "/healthz");
    assert_eq!((code, body.contains("hangs")), (503, true), "{body}");
    let status: Status = serde_json::from_str(&get(health.address(), "/status.json").1).unwrap();
    assert!(!status.fresh && status.wrong[0].contains("hangs"));
    health.publish(busy());
    assert_eq!(get(health.address(), "/healthz").0, 200);
}

#[test]
fn status_holds_snapshot_windows_and_verdicts() {
    let health = start(HealthConfig::default());
    let mut snapshot = busy();
    health.publish(snapshot.clone());
    let _ = get(health.address(), "/healthz");
    advance(&mut snapshot, 1.0);
    snapshot.sensors[0].ledger.overflow += 3_000_000;
    snapshot.store_trouble = Some("the disk is full".to_owned());
    snapshot.sensors[1].last_error = Some("x".repeat(100_000));
    health.publish(snapshot.clone());
    let carrier = |level_dbfs| AmbientCarrier { center_hz: 898.4e6, width_hz: 200e3, level_dbfs };
    health.publish_ambient(AmbientLevels(BTreeMap::from([(
        "a-west".to_owned(),
        vec![carrier(-60.0), carrier(f64::NAN)],
    )])));
    let (code, text) = get(health.address(), "/status.json");
    assert_eq!(code, 200);
    assert!(text.len() < 50_000, "{}", text.len());
    let status: Status = serde_json::from_str(&text).unwrap();
    assert_eq!(status.ambient.0["a-west"], [carrier(-60.0)]);
    assert!(status.fresh && status.age_s.unwrap() < 5.0);
    assert_eq!(status.windows_of("a-west")[1].lost.overflow, 3_000_000);
    assert_eq!(status.health.as_ref().unwrap().sensors[1].drift_ppm, None);
    let told = status.wrong.join("\n");
    assert!(told.contains("the disk is full") && told.contains("a-west: 30.0 %"), "{told}");
    assert!(status.verdict_of("a-west").unwrap().reason.contains("not commissioned"));
}

#[test]
fn a_restarting_device_and_a_full_scale_are_told() {
    let health = start(HealthConfig::default());
    let mut snapshot = busy();
    health.publish(snapshot.clone());
    let _ = get(health.address(), "/healthz");
    advance(&mut snapshot, 1.0);
    (snapshot.sensors[0].restarts, snapshot.sensors[0].clipped) = (3, 500_000);
    health.publish(snapshot);
    let status: Status = serde_json::from_str(&get(health.address(), "/status.json").1).unwrap();
    let told = status.wrong.join("\n");
    assert!(told.contains("anew 3 times") && told.contains("5.0 % of its samples of the last 15 minutes"), "{told}");
}

#[test]
fn only_get_and_head_and_only_small_heads() {
    let health = start(HealthConfig::default());
    health.publish(busy());
    let address = health.address();
    let line = |request: &str| raw(address, request.as_bytes()).lines().next().unwrap_or_default().to_owned();
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"] {
        let said = line(&format!("{method} /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi"));
        assert!(said.contains("405"), "{method}: {said}");
    }
    assert!(line("GET /etc/passwd HTTP/1.1\r\nhost: x\r\n\r\n").contains("404"));
    let head = raw(address, b"HEAD /metrics HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n") && head.contains("openmetrics"), "{head}");
    let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(100_000));
    assert!(!line(&long).contains("200"));
    let many = format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{}\r\n", "a: b\r\n".repeat(1000));
    assert!(!line(&many).contains("200"));
    assert!(!line("\x16\x03\x01\x02\x00\x01").contains("200"), "TLS is no question");
    assert_eq!(get(address, "/healthz").0, 200);
}

#[test]
fn clients_that_hang_do_not_keep_others_out() {
    let health = start(HealthConfig::default());
    health.publish(busy());
    let address = health.address();
    let began = Instant::now();
    // Three times as many as are let in, each with half a question; some go on to drip.
    let mut hanging: Vec<TcpStream> = (0..192).map(|_| TcpStream::connect(address).expect("connects")).collect();
    hanging.iter_mut().for_each(|s| drop(s.write_all(b"GET /metrics HTTP/1.1\r\nx-drip: ")));
    for _ in 0..10 {
        hanging.iter_mut().for_each(|s| drop(s.write_all(b"a")));
        let asked = Instant::now();
        assert_eq!(get(address, "/healthz").0, 200);
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    }
    // One that drips for ever is put out by the time limit of a head.
    let last = hanging.last_mut().unwrap();
    last.set_nonblocking(true).unwrap();
    loop {
        match last.read(&mut [0; 64]) {
            Ok(0) => break,
            Err(e) if e.kind() != std::io::ErrorKind::WouldBlock => break,
            _ => drop(last.write_all(b"a")),
        }
        assert!(began.elapsed() < Duration::from_secs(9), "it is still let in");
        std::thread::sleep(Duration::from_millis(100));
    }
    // It stops in spite of those that are left.
    let asked = Instant::now();
    health.stop();
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn two_daemons_on_one_port_get_a_clear_word() {
    let first = start(HealthConfig::default());
    let error = Health::start(first.address(), HealthConfig::default()).unwrap_err();
    assert!(matches!(error, Error::AddressInUse { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&first.address().to_string()) && text.contains("another"), "{text}");
    let address = first.address();
    first.stop();
    Health::start(address, HealthConfig::default()).expect("the port is free again").stop();
    let elsewhere = Health::start("192.0.2.1:9464".parse().unwrap(), HealthConfig::default()).unwrap_err();
    assert!(matches!(elsewhere, Error::Listen { .. }), "{elsewhere:?}");
}

#[test]
fn publishing_does_not_wait() {
    let health = start(HealthConfig::default());
    let snapshot = snapshot((0..64).map(|i| sensor(&format!("s{i}"))).collect());
    let (mut longest, copies) = (Duration::ZERO, vec![snapshot; 2000]);
    for copy in copies {
        let began = Instant::now();
        health.publish(copy);
        longest = longest.max(began.elapsed());
    }
    println!("longest of 2000: {longest:?}");
    // A machine that is busy may take the processor away; work in the slot would take milliseconds each time.
    assert!(longest < Duration::from_millis(250), "{longest:?}");
}
