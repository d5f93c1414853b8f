//! One evidence file: it comes back as it was, and no change of its content goes unseen.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod common;

use cellwarden_evidence::{EvidenceInput, Limits, Outcome, ReadIn, Remade, Verified, verify};
use cellwarden_locate::{JoinConfig, Joiner, Site};
use cellwarden_types::HitState;
use common::{Bench, input, start, tiles};
use hdf5::types::{FloatSize, IntSize, TypeDescriptor};
use hdf5::{Container, File};
use proptest::prelude::*;
use std::path::Path;

fn check(path: &Path, bench: &Bench) -> Verified {
    verify(path, Some(&bench.public), &ReadIn::ThisProcess).expect("it can be opened")
}

/// The parts that do not fit.
fn wrong(verified: &Verified) -> Vec<String> {
    let wrong = verified.checks.iter().filter(|c| c.outcome == Outcome::DoesNotFit);
    wrong.map(|c| format!("{}: {}", c.part, c.said)).collect()
}

fn written(input: &EvidenceInput, bench: &Bench, limits: Limits) -> cellwarden_evidence::EvidenceFile {
    bench.open(limits).write(input, start()).expect("writes")
}

#[test]
fn golden_hits_come_back_and_are_made_again() {
    for name in ["gsm", "lte"] {
        let bench = Bench::new();
        let input = input(name);
        let file = written(&input, &bench, Limits::default());
        assert_eq!(file.remade, Remade::Exactly, "{name}");
        let verified = check(&file.path, &bench);
        assert_eq!(wrong(&verified), Vec::<String>::new(), "{name}");
        assert_eq!(verified.remade, Some(Remade::Exactly));
        assert_eq!(verified.hit.as_ref(), Some(&input.hit));
        assert_eq!(verified.head, Some(file.head));
        let about = verified.about.expect("it says what it is");
        assert_eq!((about.bursts_given, about.bursts_kept), (input.bursts.len() as u64, input.bursts.len() as u64));
        assert!(verified.checks.iter().any(|c| c.part == "key" && c.outcome == Outcome::Fits));
    }
}

#[test]
fn tiles_are_plain_hdf5_for_anybody() {
    let bench = Bench::new();
    let input = input("gsm");
    let file = written(&input, &bench, Limits::default());
    let h5 = File::open(&file.path).unwrap();
    let power = h5.dataset("/tiles/0/power").unwrap();
    assert_eq!(power.shape(), [50, 8]);
    assert_eq!(power.read_raw::<f32>().unwrap(), input.tiles[0].rows);
    let hz: f64 = h5.group("/tiles/0").unwrap().attr("center_hz").unwrap().read_scalar().unwrap();
    assert_eq!(hz, 897.5e6);
    let times = h5.dataset("/tiles/0/row_time").unwrap().read_raw::<i64>().unwrap();
    assert_eq!(times[1] - times[0], 200_000);
}

#[test]
fn an_hour_makes_no_file_of_gigabytes_and_the_file_says_so() {
    let bench = Bench::new();
    let mut input = input("gsm");
    input.tiles = vec![tiles(20_000, 64), tiles(20_000, 64)];
    let limits = Limits { tile_bytes: 1 << 20, whole_s: 0.1, bursts: 10, ..Limits::default() };
    let file = written(&input, &bench, limits);
    let bytes = std::fs::metadata(&file.path).unwrap().len();
    assert!(bytes < (1 << 20) + 200_000, "{bytes}");
    let verified = check(&file.path, &bench);
    assert_eq!(wrong(&verified), Vec::<String>::new());
    assert!(matches!(verified.remade, Some(Remade::NotTried { .. })), "{:?}", verified.remade);
    let about = verified.about.unwrap();
    assert_eq!(about.bursts_kept, 10);
    assert!(about.tiles.contains("the first 500 are kept"), "{}", about.tiles);
}

#[test]
fn no_room_for_tiles_loses_no_evidence() {
    let bench = Bench::new();
    let limits = Limits { tile_bytes: 0, ..Limits::default() };
    let verified = check(&written(&input("gsm"), &bench, limits).path, &bench);
    assert!(verified.fits(), "{:?}", verified.checks);
    assert!(verified.about.unwrap().tiles.contains("no room"));
}

/// Records of a day, from bursts that differ in their time only.
#[test]
fn the_longest_call_can_be_read_again() {
    let bench = Bench::new();
    let mut long = input("gsm");
    let burst = long.bursts[0].clone();
    long.bursts = vec![burst; 200_000];
    let file = written(&long, &bench, Limits { bursts: usize::MAX, ..Limits::default() });
    let bytes = std::fs::metadata(&file.path).unwrap().len();
    assert!(bytes < 60 << 20, "{bytes}");
    let verified = check(&file.path, &bench);
    assert!(verified.fits(), "{:?}", verified.checks);
    let about = verified.about.unwrap();
    assert!(about.bursts_kept > 50_000 && about.bursts_kept < about.bursts_given, "{about:?}");
}

#[test]
fn nonsense_is_refused_before_a_file_is_made() {
    let bench = Bench::new();
    let good = input("gsm");
    let mut writer = bench.open(Limits::default());
    let mut cases = vec![good.clone(); 5];
    cases[0].tiles[0].rows.pop();
    cases[1].tiles[0].bins = 0;
    cases[2].tiles[0].row_s = f64::NAN;
    cases[3].hit.state = HitState::Open;
    cases[4].site_text = Some("no = site".to_owned());
    for (i, case) in cases.iter().enumerate() {
        assert!(writer.write(case, start()).is_err(), "case {i}");
    }
    let file = writer.write(&good, start()).unwrap();
    assert_eq!(file.sequence, 1, "the chain has no hole");
    assert_eq!(std::fs::read_dir(bench.dir()).unwrap().count(), 2);
}

#[test]
fn a_hit_that_does_not_follow_from_its_bursts_is_told() {
    let bench = Bench::new();
    let mut other = input("gsm");
    other.hit.block = "Z".to_owned();
    let file = written(&other, &bench, Limits::default());
    assert!(matches!(&file.remade, Remade::Differs { fields } if fields[0].starts_with("block")), "{:?}", file.remade);
    // The file is as the box wrote it, and says itself what is wrong with it.
    let verified = check(&file.path, &bench);
    let note = verified.checks.iter().find(|c| c.part == "hit").expect("it was tried");
    assert!(wrong(&verified).is_empty() && note.outcome == Outcome::NotChecked, "{note:?}");
    assert!(note.said.contains("as the box noted") && note.said.contains("block"), "{note:?}");
    assert!(verified.about.is_some_and(|a| a.not_remade.is_some_and(|why| why.contains("block"))));
    assert!(!verified.remade.is_some_and(|r| r.fits()), "nobody takes it for one that was made again");

    let bench = Bench::new();
    let mut fewer = input("gsm");
    fewer.bursts.clear();
    let file = written(&fewer, &bench, Limits::default());
    assert_eq!(file.remade, Remade::NoSuchHit { others: 0 });
}

#[test]
fn what_a_live_run_counts_differently_is_no_difference() {
    let bench = Bench::new();
    let mut live = input("gsm");
    live.hit.revision = 7;
    live.hit.id.push_str("-2");
    let file = written(&live, &bench, Limits::default());
    assert_eq!(file.remade, Remade::Exactly);
}

#[test]
fn a_hit_of_a_live_run_follows_from_the_bursts_around_it() {
    for name in ["gsm", "lte"] {
        let bench = Bench::new();
        let mut live = input(name);
        let site = Site::parse(live.site_text.as_deref().unwrap(), "site").unwrap();
        let mut joiner = Joiner::new(Some(&site), JoinConfig::new(live.sensors.clone()));
        let mut hits = Vec::new();
        for burst in &live.bursts {
            joiner.push(burst.clone());
            joiner.advance(burst.start_s, &mut hits);
        }
        joiner.advance(1e3, &mut hits);
        live.hit = hits.into_iter().rfind(|h| h.state == HitState::Closed).unwrap();
        assert!(live.hit.revision > 1, "{:?}", live.hit);
        let (from, to) = (live.hit.start_s - 0.5, live.hit.end_s + 0.1);
        live.bursts.retain(|b| b.start_s >= from && b.start_s <= to);
        assert_eq!(written(&live, &bench, Limits::default()).remade, Remade::Exactly, "{name}");
    }
}

#[test]
fn another_boxs_key_is_told() {
    let (bench, other) = (Bench::new(), Bench::new());
    let file = written(&input("gsm"), &bench, Limits::default());
    let verified = verify(&file.path, Some(&other.public), &ReadIn::ThisProcess).unwrap();
    assert_eq!(wrong(&verified).len(), 1);
    assert!(wrong(&verified)[0].starts_with("key"), "{:?}", wrong(&verified));
    // Without a key it is said that this proves less.
    let verified = verify(&file.path, None, &ReadIn::ThisProcess).unwrap();
    assert!(verified.fits());
    assert!(verified.checks.iter().any(|c| c.part == "key" && c.outcome == Outcome::NotChecked));
}

#[test]
#[allow(deprecated)] // comments are what is tested
fn what_the_manifest_does_not_list_is_told() {
    type Edit = fn(&File) -> hdf5::Result<()>;
    let edits: [(&str, Edit); 12] = [
        ("/extra", |f| f.new_dataset::<u8>().shape([3]).create("extra").map(drop)),
        ("/extra", |f| f.create_group("extra").map(drop)),
        ("/tiles/1", |f| f.create_group("tiles/1").map(drop)),
        ("/hit@note", |f| f.dataset("hit")?.new_attr::<f64>().create("note").map(drop)),
        ("@note", |f| f.new_attr::<f64>().create("note").map(drop)),
        ("/manifest@note", |f| f.dataset("manifest")?.new_attr::<u8>().create("note").map(drop)),
        ("link", |f| f.link_soft("/hit", "again")),
        ("/again", |f| f.link_hard("/hit", "again")),
        ("link", |f| f.link_external("/etc/passwd", "/", "again")),
        ("comment", |f| f.dataset("hit")?.set_comment("look here")),
        ("Note", |f| f.new_dataset::<u8>().shape([3]).create("Note").map(drop)),
        ("type", |f| f.new_dataset::<u16>().shape([3]).create("extra").map(drop)),
    ];
    let bench = Bench::new();
    let file = written(&input("gsm"), &bench, Limits::default());
    for (i, (place, edit)) in edits.iter().enumerate() {
        let copy = bench.folder.path().join(format!("copy{i}.h5"));
        std::fs::copy(&file.path, &copy).unwrap();
        let h5 = File::open_rw(&copy).unwrap();
        edit(&h5).unwrap();
        h5.close().unwrap();
        let verified = check(&copy, &bench);
        assert!(wrong(&verified).iter().any(|w| w.contains(place)), "case {i} {place}: {:?}", verified.checks);
    }
}

#[test]
fn what_is_taken_out_is_told() {
    let bench = Bench::new();
    let file = written(&input("gsm"), &bench, Limits::default());
    for (i, part) in ["bursts", "hit", "site", "tiles", "tiles/0/floor", "manifest", "seal"].iter().enumerate() {
        let copy = bench.folder.path().join(format!("copy{i}.h5"));
        std::fs::copy(&file.path, &copy).unwrap();
        let h5 = File::open_rw(&copy).unwrap();
        h5.unlink(part).unwrap();
        h5.close().unwrap();
        let found = wrong(&check(&copy, &bench));
        assert!(found.iter().any(|w| w.contains(part)), "{part}: {found:?}");
    }
}

/// Writes every part into a new file with other chunks and compression, as `h5repack` does.
fn repack(from: &Path, to: &Path) {
    fn copy(from: &hdf5::Group, to: &hdf5::Group) {
        for name in from.attr_names().unwrap() {
            let attribute = from.attr(&name).unwrap();
            match attribute.dtype().unwrap().to_descriptor().unwrap() {
                TypeDescriptor::Float(FloatSize::U8) => to
                    .new_attr::<f64>()
                    .create(name.as_str())
                    .unwrap()
                    .write_scalar(&attribute.read_scalar::<f64>().unwrap()),
                _ => to
                    .new_attr::<u64>()
                    .create(name.as_str())
                    .unwrap()
                    .write_scalar(&attribute.read_scalar::<u64>().unwrap()),
            }
            .unwrap();
        }
        for dataset in from.datasets().unwrap() {
            let path = dataset.name();
            let name = path.rsplit('/').next().unwrap();
            let (shape, n) = (dataset.shape(), dataset.size());
            macro_rules! write {
                ($type:ty) => {{
                    let builder = to.new_dataset::<$type>().shape(shape.clone());
                    let builder = if n > 0 {
                        builder.chunk(shape.iter().map(|&d| d.min(7)).collect::<Vec<_>>())
                    } else {
                        builder
                    };
                    let out =
                        if n > 0 { builder.shuffle().deflate(6).fletcher32() } else { builder }.create(name).unwrap();
                    out.as_writer().write_raw(&dataset.read_raw::<$type>().unwrap()).unwrap()
                }};
            }
            match dataset.dtype().unwrap().to_descriptor().unwrap() {
                TypeDescriptor::Unsigned(IntSize::U1) => write!(u8),
                TypeDescriptor::Unsigned(IntSize::U4) => write!(u32),
                TypeDescriptor::Integer(IntSize::U8) => write!(i64),
                TypeDescriptor::Float(FloatSize::U4) => write!(f32),
                other => panic!("{other}"),
            }
        }
        for group in from.groups().unwrap() {
            let path = group.name();
            copy(&group, &to.create_group(path.rsplit('/').next().unwrap()).unwrap());
        }
    }
    let (from, to) = (File::open(from).unwrap(), File::create(to).unwrap());
    copy(&from.group("/").unwrap(), &to.group("/").unwrap());
}

#[test]
fn repacking_leaves_the_seal_whole() {
    let bench = Bench::new();
    let file = written(&input("gsm"), &bench, Limits::default());
    let repacked = bench.folder.path().join("repacked.h5");
    repack(&file.path, &repacked);
    assert_ne!(std::fs::read(&file.path).unwrap(), std::fs::read(&repacked).unwrap());
    let verified = check(&repacked, &bench);
    assert_eq!(wrong(&verified), Vec::<String>::new());
    assert_eq!(verified.head, Some(file.head));
}

/// Every data set and attribute, with its size in bytes.
fn parts(path: &Path) -> Vec<(String, usize)> {
    fn visit(group: &hdf5::Group, at: &str, out: &mut Vec<(String, usize)>) {
        out.extend(group.attr_names().unwrap().into_iter().map(|name| (format!("{at}@{name}"), 8)));
        for dataset in group.datasets().unwrap() {
            out.push((dataset.name(), dataset.size() * dataset.dtype().unwrap().size()));
        }
        for inner in group.groups().unwrap() {
            visit(&inner, &inner.name(), out);
        }
    }
    let mut out = Vec::new();
    visit(&File::open(path).unwrap().group("/").unwrap(), "", &mut out);
    out.retain(|(_, bytes)| *bytes > 0);
    out
}

/// Flips one bit of a part, the way any HDF5 program writes.
#[allow(clippy::modulo_one)] // of a byte
fn flip(path: &Path, part: &str, bit: usize) {
    fn apply(container: &Container, bit: usize) {
        macro_rules! apply {
            ($type:ty, $size:expr) => {{
                let mut values = container.read_raw::<$type>().unwrap();
                let at = bit / 8 / $size;
                let mut bytes = values[at].to_le_bytes();
                bytes[bit / 8 % $size] ^= 1 << (bit % 8);
                values[at] = <$type>::from_le_bytes(bytes);
                container.as_writer().write_raw(&values).unwrap();
            }};
        }
        match container.dtype().unwrap().to_descriptor().unwrap() {
            TypeDescriptor::Unsigned(IntSize::U1) => apply!(u8, 1),
            TypeDescriptor::Unsigned(IntSize::U4) => apply!(u32, 4),
            TypeDescriptor::Unsigned(IntSize::U8) => apply!(u64, 8),
            TypeDescriptor::Integer(IntSize::U8) => apply!(i64, 8),
            TypeDescriptor::Float(FloatSize::U4) => apply!(f32, 4),
            TypeDescriptor::Float(FloatSize::U8) => apply!(f64, 8),
            other => panic!("{other}"),
        }
    }
    let file = File::open_rw(path).unwrap();
    match part.split_once('@') {
        None => apply(&file.dataset(part).unwrap(), bit),
        Some((group, name)) => apply(&file.group(group).unwrap().attr(name).unwrap(), bit),
    }
    file.close().unwrap();
}

#[test]
fn a_flipped_bit_is_found_in_every_part() {
    let bench = Bench::new();
    let file = written(&input("gsm"), &bench, Limits::default());
    let all = parts(&file.path);
    assert!(all.len() > 15, "{all:?}");
    for (part, bytes) in &all {
        for bit in [0, bytes * 4 + 1, bytes * 8 - 1] {
            flip(&file.path, part, bit);
            let found = wrong(&check(&file.path, &bench));
            let named = match part.as_str() {
                "/seal" => !found.is_empty(),
                part => found.iter().any(|w| w.starts_with(part)),
            };
            assert!(named, "{part} bit {bit}: {found:?}");
            flip(&file.path, part, bit);
        }
    }
    assert!(check(&file.path, &bench).fits(), "flipped back");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn any_flipped_bit_is_found(which: prop::sample::Index, bit: prop::sample::Index) {
        thread_local!(static MADE: (Bench, std::path::PathBuf, Vec<(String, usize)>) = {
            let bench = Bench::new();
            let path = written(&input("lte"), &bench, Limits::default()).path;
            let all = parts(&path);
            (bench, path, all)
        });
        MADE.with(|(bench, path, all)| {
            let (part, bytes) = &all[which.index(all.len())];
            let bit = bit.index(bytes * 8);
            flip(path, part, bit);
            let verified = check(path, bench);
            flip(path, part, bit);
            prop_assert!(!verified.fits(), "{part} bit {bit}");
            Ok(())
        })?;
    }
}
