//! From bursts of several sensors to hits: one for each activity, in its block, whatever the order.
//!
//! Phones stand in a site of two blocks and are heard as the site's own loss model has it, but for half a decibel and
//! some microseconds of error.

#![allow(clippy::unwrap_used)] // a test may

use cellwarden_locate::site::Point;
use cellwarden_locate::track::{FRAME_S, SLOT_S};
use cellwarden_locate::{JoinConfig, Joiner, SensorInfo, Site, join};
use cellwarden_types::{Activity, Burst, Detail, Evidence, Hit, HitState, Kind, Record, Standard, UtcNanos, db};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::LazyLock;

static PLAN: LazyLock<Site> =
    LazyLock::new(|| Site::parse(include_str!("two_blocks.toml"), "two_blocks.toml").unwrap());

/// Places near one sensor each.
const NEAR_A_WEST: Point = [12.0, 8.0];
const NEAR_A_EAST: Point = [47.0, 5.0];
const NEAR_B: Point = [31.0, 49.0];
const NOISE_DBFS_PER_HZ: f64 = -157.0;
/// Below this SNR a sensor hears nothing.
const HEARD_DB: f64 = 10.0;
const GSM_HZ: f64 = 902.4e6;
const LTE_HZ: f64 = 847e6;

fn base() -> UtcNanos {
    "2026-03-01T06:00:00Z".parse().unwrap()
}

fn sensors() -> Vec<SensorInfo> {
    let info =
        |name: &str| SensorInfo { name: name.into(), start_time: Some(base()), noise_dbfs_per_hz: NOISE_DBFS_PER_HZ };
    PLAN.sensors.iter().map(|s| info(&s.name)).collect()
}

/// A burst as it leaves the phone: who hears it, and how, is for [`send`] to say.
fn burst(
    standard: Standard,
    kind: Kind,
    (start_s, duration_s): (f64, f64),
    (middle_hz, width_hz): (f64, f64),
) -> Burst {
    Burst {
        sensor: "".into(),
        time: None,
        start_s,
        duration_s,
        sample_start: 0,
        sample_count: 1,
        freq_lower_hz: middle_hz - width_hz / 2.0,
        freq_upper_hz: middle_hz + width_hz / 2.0,
        standard,
        kind,
        band: Some(if standard == Standard::Lte { "B20" } else { "GSM900" }.to_owned()),
        channel: None,
        carrier_offset_hz: None,
        power_dbfs: 0.0,
        snr_db: 0.0,
        confidence: 0.97,
        standard_confidence: 0.97,
        detail: Detail::default(),
    }
}

fn access(start_s: f64) -> Burst {
    let mut b = burst(Standard::Gsm, Kind::Access, (start_s, 88.0 / 156.25 * SLOT_S), (GSM_HZ, 200e3));
    b.detail.training_sequence = Some("TS0".to_owned());
    b
}

fn normal(start_s: f64, code: u8) -> Burst {
    let mut b = burst(Standard::Gsm, Kind::Normal, (start_s, 148.0 / 156.25 * SLOT_S), (GSM_HZ, 200e3));
    b.detail.training_sequence = Some(format!("TSC{code}"));
    b
}

fn prach(start_s: f64) -> Burst {
    let mut b = burst(Standard::Lte, Kind::Prach, (start_s, 903e-6), (LTE_HZ, 1.08e6));
    b.detail.root = Some(129);
    b
}

fn pusch(start_s: f64, blocks: u16) -> Burst {
    let middle_hz = LTE_HZ + f64::from(blocks) * 90e3;
    let mut b = burst(Standard::Lte, Kind::Pusch, (start_s, 1e-3), (middle_hz, f64::from(blocks) * 180e3));
    b.detail.resource_blocks = Some(blocks);
    b
}

/// A location update: access, then SDCCH/8 subchannel 0 in timeslot 1, its SACCH included, for two seconds.
fn location_update(start_s: f64, code: u8) -> Vec<Burst> {
    let on_air = |frame: &u32| frame % 51 < 4 || frame % 102 / 4 == 8;
    let first_s = start_s + 40.0 * FRAME_S + SLOT_S;
    let frames = (0..430).filter(on_air).map(|frame| normal(first_s + f64::from(frame) * FRAME_S, code));
    std::iter::once(access(start_s + 3e-6)).chain(frames).collect()
}

/// A call: access, then TCH/F in timeslot 3, in 25 of 26 frames.
fn call(start_s: f64, seconds: f64, code: u8) -> Vec<Burst> {
    let first_s = start_s + 40.0 * FRAME_S + 3.0 * SLOT_S;
    let frames = (0..(seconds / FRAME_S) as u32).filter(|frame| frame % 26 != 12);
    let frames = frames.map(|frame| normal(first_s + f64::from(frame) * FRAME_S, code));
    std::iter::once(access(start_s + 3e-6)).chain(frames).collect()
}

/// An attach: preamble, message 3, then a dozen of allocations.
fn attach(start_s: f64) -> Vec<Burst> {
    let after_ms = [22, 40, 41, 63, 84, 99, 100, 131, 170, 211, 262, 263, 320, 390];
    let allocations = after_ms.iter().zip([2, 2, 6, 3, 2, 5, 5, 2, 1, 4, 2, 6, 2, 3]);
    let allocations = allocations.map(|(&ms, blocks)| pusch(start_s + f64::from(ms) * 1e-3, blocks));
    std::iter::once(prach(start_s + 2e-6)).chain(allocations).collect()
}

/// What `sensor` hears of a burst at some level.
fn heard(sent: &Burst, sensor: &str, power_dbfs: f64, late_s: f64) -> Burst {
    let start_s = sent.start_s + late_s;
    Burst {
        sensor: sensor.into(),
        time: Some(base().plus_seconds(start_s)),
        start_s,
        sample_start: (start_s * 2.4e6) as u64,
        power_dbfs,
        snr_db: power_dbfs - NOISE_DBFS_PER_HZ - db(sent.freq_upper_hz - sent.freq_lower_hz),
        ..sent.clone()
    }
}

/// What all sensors hear of a phone at `at`.
fn send(at: Point, power_dbm: f64, sent: &[Burst]) -> Vec<Burst> {
    let mut out = Vec::new();
    for (i, s) in PLAN.sensors.iter().enumerate() {
        for (k, b) in sent.iter().enumerate() {
            let hz = 0.5 * (b.freq_lower_hz + b.freq_upper_hz);
            let metres = (at[0] - s.position[0]).hypot(at[1] - s.position[1]).max(1.0);
            let loss_db = 2.0 * db(4.0 * std::f64::consts::PI * hz / 299_792_458.0)
                + 3.0 * db(metres)
                + PLAN.wall_loss_db(at, s.position);
            // Power control keeps the density of LTE.
            let width = (b.freq_upper_hz - b.freq_lower_hz) / 1.08e6;
            let width_db = if b.standard == Standard::Lte { db(width) } else { 0.0 };
            let off = ((7 * k + 3 * i) % 11) as f64 / 5.0 - 1.0;
            let level = power_dbm + width_db - loss_db - s.full_scale_dbm.unwrap() + 0.5 * off;
            let h = heard(b, &s.name, level, 2e-6 * off);
            if h.snr_db > HEARD_DB {
                out.push(h);
            }
        }
    }
    out
}

fn joined(bursts: Vec<Burst>) -> Vec<Hit> {
    join(bursts, &sensors(), Some(&PLAN))
}

/// The only hit that the bursts give.
fn only(bursts: Vec<Burst>) -> Hit {
    let mut hits = joined(bursts);
    assert_eq!(hits.len(), 1, "{hits:#?}");
    hits.remove(0)
}

#[test]
fn a_location_update_is_one_hit_in_the_block_whose_sensors_hear_it_loudest() {
    for (at, block, loudest) in [(NEAR_A_WEST, "A", "a-west"), (NEAR_A_EAST, "A", "a-east"), (NEAR_B, "B", "b-mid")] {
        let sent = location_update(1.0, 5);
        let hit = only(send(at, 28.0, &sent));
        assert_eq!((hit.block.as_str(), hit.activity, hit.state), (block, Activity::Registration, HitState::Closed));
        assert_eq!((hit.standard, hit.bursts as usize, hit.sensors.len()), (Standard::Gsm, sent.len(), 3));
        let level = hit.sensors[loudest];
        assert!(hit.sensors.values().all(|l| *l <= level), "{:?}", hit.sensors);
        assert!(hit.confidence > 0.9 && hit.block_probability[block] > 0.5, "{hit:?}");
        let (first, last) = (&sent[0], sent.last().unwrap());
        assert!((hit.start_s - first.start_s).abs() < 10e-6, "{}", hit.start_s);
        assert!((hit.end_s - last.start_s - last.duration_s).abs() < 10e-6, "{}", hit.end_s);
    }
}

#[test]
fn a_call_is_one_hit_with_voice() {
    let sent = call(0.5, 8.0, 3);
    let hit = only(send(NEAR_A_WEST, 28.0, &sent));
    assert_eq!((hit.block.as_str(), hit.activity, hit.bursts as usize), ("A", Activity::Voice, sent.len()));
}

#[test]
fn an_lte_attach_is_one_hit() {
    let sent = attach(0.3);
    let hit = only(send(NEAR_B, 18.0, &sent));
    assert_eq!((hit.block.as_str(), hit.activity, hit.standard), ("B", Activity::Registration, Standard::Lte));
    assert_eq!(hit.bursts as usize, sent.len());
}

#[test]
fn a_single_access_is_worth_half_at_most() {
    for sent in [access(1.0), prach(1.0)] {
        let hit = only(send(NEAR_A_WEST, 25.0, &[sent]));
        assert!(hit.confidence <= 0.5, "{hit:?}");
        assert_eq!((hit.bursts, hit.activity), (1, Activity::Unknown));
    }
}

/// Of bursts that fall together at a sensor, the strongest: a receiver can name no other.
fn captured(mut bursts: Vec<Burst>) -> Vec<Burst> {
    bursts.sort_by(|a, b| b.power_dbfs.total_cmp(&a.power_dbfs));
    let mut kept: Vec<Burst> = Vec::new();
    for b in bursts {
        let over = |k: &Burst| {
            k.sensor == b.sensor
                && k.freq_lower_hz < b.freq_upper_hz
                && b.freq_lower_hz < k.freq_upper_hz
                && k.start_s < b.start_s + b.duration_s
                && b.start_s < k.start_s + k.duration_s
        };
        if !kept.iter().any(over) {
            kept.push(b);
        }
    }
    kept
}

/// The traffic channels of two calls in one timeslot of one carrier, of two radio cells, in two blocks.
fn colliding_calls() -> Vec<Burst> {
    let mut bursts = send(NEAR_A_WEST, 28.0, &call(0.5, 3.0, 5)[1..]);
    bursts.extend(send(NEAR_B, 28.0, &call(0.5 + 10.0 * FRAME_S, 3.0, 2)[1..]));
    captured(bursts)
}

/// Asserts that there are two calls, one in each block.
fn assert_two_calls(hits: &[Hit]) {
    assert_eq!(hits.len(), 2, "{hits:#?}");
    let blocks: BTreeSet<&str> = hits.iter().map(|h| h.block.as_str()).collect();
    assert_eq!(blocks, BTreeSet::from(["A", "B"]));
    assert!(hits.iter().all(|h| h.activity == Activity::Voice && h.bursts > 600), "{hits:#?}");
}

#[test]
fn two_calls_in_one_timeslot_with_different_training_sequences_stay_two_hits() {
    assert_two_calls(&joined(colliding_calls()));
}

/// A phone far from the sensor of its block, and the level of another at the sensor `a-west`.
const FAR_IN_B: Point = [55.0, 50.0];
const NEARER_DBFS: f64 = 60.0 + NOISE_DBFS_PER_HZ + 53.0;

/// What the other sensors hear of a location update there, and `a-west` of its bursts `range` at the other's level.
fn with_another_level(sent: &[Burst], range: std::ops::Range<usize>) -> Vec<Burst> {
    let mut bursts = send(FAR_IN_B, 28.0, sent);
    bursts.retain(|b| &*b.sensor != "a-west");
    bursts.extend(sent[range].iter().map(|b| heard(b, "a-west", NEARER_DBFS, 0.0)));
    bursts
}

#[test]
fn a_clear_unknown_burst_of_a_near_sensor_lends_no_level_to_a_far_phone() {
    let sent = location_update(1.0, 5);
    assert_ne!(only(with_another_level(&sent, 0..sent.len())).block, "B", "that level would decide");
    let mut bursts = with_another_level(&sent, 0..0);
    for b in &sent {
        // Somebody else's edge, 60 dB over the noise: it has the far burst's time and most of its band.
        let edge = burst(Standard::Unknown, Kind::Unknown, (b.start_s + 30e-6, b.duration_s), (GSM_HZ + 20e3, 180e3));
        bursts.push(heard(&edge, "a-west", NEARER_DBFS, 0.0));
    }
    let hit = only(bursts);
    assert!(!hit.sensors.contains_key("a-west"), "{:?}", hit.sensors);
    assert_eq!((hit.block.as_str(), hit.bursts as usize), ("B", sent.len()));
}

#[test]
fn a_sensor_that_heard_few_emissions_clearly_does_not_place() {
    let sent = location_update(1.0, 5);
    for few in [0..6, 10..18, sent.len() - 5..sent.len()] {
        let hit = only(with_another_level(&sent, few));
        assert_eq!((hit.block.as_str(), hit.bursts as usize), ("B", sent.len()));
    }
}

#[test]
fn what_a_sensor_that_hops_does_not_hear_says_nothing() {
    // In block A, but its sensors were elsewhere but for another phone's burst before.
    let before = heard(&access(1.0), "a-west", -40.0, 0.0);
    let phone = send(NEAR_A_WEST, 28.0, &location_update(20.0, 5));
    let mut bursts: Vec<Burst> = phone.into_iter().filter(|b| *b.sensor == *"b-mid").collect();
    bursts.insert(0, before);
    let in_a = |floor: f64| {
        let mut known = sensors();
        known.iter_mut().filter(|s| *s.name != *"b-mid").for_each(|s| s.noise_dbfs_per_hz = floor);
        let hits = join(bursts.clone(), &known, Some(&PLAN));
        assert_eq!(hits.len(), 2, "{hits:#?}");
        hits[1].block_probability["A"]
    };
    let (stays, hops) = (in_a(NOISE_DBFS_PER_HZ), in_a(f64::INFINITY));
    assert!(stays < 0.2 && hops > 0.4, "{stays} {hops}");
}

/// Says of the bursts that their stream's I and Q are exchanged.
fn exchanged(mut bursts: Vec<Burst>) -> Vec<Burst> {
    for b in &mut bursts {
        b.detail.evidence.push(Evidence::new(Evidence::IQ_SWAPPED, 8.0, -12.0));
    }
    bursts
}

#[test]
fn streams_with_exchanged_i_and_q_give_no_hit() {
    let gsm = [location_update(0.5, 5), call(4.0, 3.0, 3)].concat();
    let mut bursts = send(NEAR_A_WEST, 28.0, &gsm);
    bursts.extend(send(NEAR_B, 18.0, &attach(0.3)));
    assert!(joined(bursts.clone()).len() >= 3, "as they are, they do");
    assert_eq!(joined(exchanged(bursts)), vec![]);
}

#[test]
fn one_sensor_with_exchanged_i_and_q_adds_no_hit_to_that_of_the_others() {
    let sent = send(NEAR_A_WEST, 28.0, &location_update(0.5, 5));
    let (mut odd, mut bursts): (Vec<Burst>, Vec<Burst>) = sent.into_iter().partition(|b| &*b.sensor == "a-east");
    for b in &mut odd {
        // On the mirrored carrier.
        (b.freq_lower_hz, b.freq_upper_hz) = (b.freq_lower_hz - 1.2e6, b.freq_upper_hz - 1.2e6);
    }
    bursts.extend(exchanged(odd));
    let hit = only(bursts);
    assert_eq!(hit.block, "A");
    assert!(!hit.sensors.contains_key("a-east"), "{:?}", hit.sensors);
}

/// Everything at once: updates, attaches, one access, and calls that collide on another carrier.
fn busy_hour() -> Vec<Burst> {
    let mut bursts = send(NEAR_A_WEST, 28.0, &location_update(0.2, 5));
    bursts.extend(send(NEAR_B, 28.0, &location_update(1.0 + 2.0 * SLOT_S, 5)));
    bursts.extend(send(NEAR_A_EAST, 20.0, &attach(0.9)));
    bursts.extend(send(NEAR_B, 18.0, &attach(2.3)));
    bursts.extend(send(NEAR_B, 18.0, &attach(4.1)));
    bursts.extend(send([40.0, 12.0], 26.0, &[access(3.3)]));
    bursts.extend(colliding_calls().into_iter().map(|mut b| {
        let shift = 800e3;
        (b.freq_lower_hz, b.freq_upper_hz) = (b.freq_lower_hz + shift, b.freq_upper_hz + shift);
        b
    }));
    bursts
}

#[test]
fn ids_are_unique_and_sort_by_time() {
    let hits = joined(busy_hour());
    assert!(hits.len() >= 7, "{}", hits.len());
    let ids: Vec<&String> = hits.iter().map(|h| &h.id).collect();
    let sorted: BTreeSet<&String> = ids.iter().copied().collect();
    assert_eq!(sorted.len(), ids.len());
    assert!(hits.windows(2).all(|w| w[0].start_s <= w[1].start_s));
    assert_eq!(sorted.into_iter().collect::<Vec<_>>(), ids);
}

/// The hits that are closed when bursts come in pieces, each in `order`, with an advance after each piece.
fn closed_in_pieces(bursts: &[Burst], order: &[u64], cuts_s: &[f64], known: Vec<SensorInfo>) -> Vec<Hit> {
    let mut joiner = Joiner::new(Some(&PLAN), JoinConfig::new(known));
    let mut cuts_s = cuts_s.to_vec();
    cuts_s.sort_by(f64::total_cmp);
    cuts_s.push(f64::INFINITY);
    let mut out = Vec::new();
    let mut from_s = f64::NEG_INFINITY;
    for to_s in cuts_s {
        let ordered = order.iter().cycle().copied().zip(bursts);
        let mut piece: Vec<(u64, &Burst)> = ordered.filter(|(_, b)| (from_s..to_s).contains(&b.start_s)).collect();
        piece.sort_by_key(|p| p.0);
        piece.into_iter().for_each(|(_, b)| joiner.push(b.clone()));
        if to_s.is_finite() {
            joiner.advance(to_s, &mut out);
        }
        from_s = to_s;
    }
    out.extend(joiner.finish());
    out.retain(|h| h.state == HitState::Closed);
    out.iter_mut().for_each(|h| h.revision = 0);
    out.sort_by(|a, b| a.id.cmp(&b.id));
    out
}

/// Asserts that every number of the hits is one: what is none has no JSON, and would be read as null.
fn assert_numbers(hits: &[Hit]) {
    for hit in hits {
        let record = Record::Hit(hit.clone());
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&text).ok(), Some(record), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn neither_order_nor_advances_change_the_closed_hits(
        order in prop::collection::vec(any::<u64>(), 997),
        cuts_s in prop::collection::vec(0.0f64..6.0, 0..40),
    ) {
        let bursts = busy_hour();
        let whole = closed_in_pieces(&bursts, &[0], &[], sensors());
        prop_assert!(whole.len() >= 7);
        prop_assert_eq!(closed_in_pieces(&bursts, &order, &cuts_s, sensors()), whole);
    }

    #[test]
    fn numbers_that_are_none_never_reach_a_hit(
        places in prop::collection::vec((any::<prop::sample::Index>(), 0..10usize, 0..3usize), 1..60),
    ) {
        let mut bursts = [
            send(NEAR_A_WEST, 28.0, &location_update(0.2, 5)),
            send(NEAR_B, 18.0, &attach(0.9)),
        ].concat();
        for (place, field, value) in places {
            let value = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY][value];
            let b = place.get_mut(&mut bursts);
            let fields = [
                &mut b.start_s, &mut b.duration_s, &mut b.freq_lower_hz, &mut b.freq_upper_hz, &mut b.power_dbfs,
                &mut b.snr_db, &mut b.confidence, &mut b.standard_confidence,
            ];
            match fields.into_iter().nth(field) {
                Some(f) => *f = value,
                None if field == 8 => b.carrier_offset_hz = Some(value),
                None => b.detail.evidence.push(Evidence::new("odd", value, value)),
            }
        }
        let hits = joined(bursts);
        prop_assert!(hits.len() >= 2, "{:?}", hits);
        assert_numbers(&hits);
    }
}

#[test]
fn bursts_without_a_number_alone_give_no_hit() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut bursts = send(NEAR_B, 28.0, &location_update(1.0, 5));
        bursts.iter_mut().for_each(|b| b.power_dbfs = value);
        assert_eq!(joined(bursts), vec![]);
    }
}

#[test]
fn absurdly_large_numbers_never_reach_a_hit() {
    let mut bursts = send(NEAR_B, 28.0, &location_update(1.0, 5));
    for b in bursts.iter_mut().step_by(3) {
        b.power_dbfs = 1e308;
    }
    assert_numbers(&joined(bursts));
}

#[test]
fn order_changes_nothing_where_recordings_began_at_unknown_times() {
    let mut bursts = send(NEAR_B, 28.0, &location_update(1.0, 5));
    for b in bursts.iter_mut().filter(|b| &*b.sensor == "b-mid") {
        b.start_s += 10.0; // its recording began 10 s before the others
    }
    let hits = join(bursts.clone(), &[], Some(&PLAN));
    bursts.reverse();
    assert_eq!(join(bursts, &[], Some(&PLAN)), hits);
}

#[test]
fn an_infinite_start_in_front_changes_nothing_where_recordings_began_at_unknown_times() {
    let mut bursts = send(NEAR_B, 28.0, &location_update(1.0, 5));
    let plain = join(bursts.clone(), &[], Some(&PLAN));
    let mut odd = bursts[0].clone();
    odd.start_s = f64::INFINITY;
    bursts.insert(0, odd);
    assert_eq!(join(bursts, &[], Some(&PLAN)), plain);
}

#[test]
fn a_hit_opens_is_updated_and_closes_once() {
    let bursts = send(NEAR_A_WEST, 28.0, &call(0.5, 6.0, 3));
    let mut joiner = Joiner::new(Some(&PLAN), JoinConfig::new(sensors()));
    let mut reports: Vec<(f64, Hit)> = Vec::new();
    for step in 1..50 {
        let now_s = f64::from(step) * 0.25;
        for b in bursts.iter().filter(|b| (now_s - 0.25..now_s).contains(&b.start_s)) {
            joiner.push(b.clone());
        }
        let mut new = Vec::new();
        joiner.advance(now_s, &mut new);
        reports.extend(new.into_iter().map(|h| (now_s, h)));
    }
    assert_eq!(joiner.finish(), vec![], "it closed by itself");
    let hits: Vec<&Hit> = reports.iter().map(|r| &r.1).collect();
    assert!(hits.len() > 4, "{}", hits.len());
    for (i, hit) in hits.iter().enumerate() {
        let state = match i {
            0 => HitState::Open,
            i if i + 1 == hits.len() => HitState::Closed,
            _ => HitState::Updated,
        };
        assert_eq!((hit.state, hit.revision as usize, &hit.id), (state, i + 1, &hits[0].id));
    }
    assert!(hits.windows(2).all(|w| w[0].bursts <= w[1].bursts && w[0].end_s <= w[1].end_s));
    let closed_s = reports.last().unwrap().0;
    assert!(closed_s - hits.last().unwrap().end_s < 2.0, "{closed_s}");
}
