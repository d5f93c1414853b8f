//! A process that is killed while it writes loses its last file at most. Alone in its file, because it starts itself.

mod common;

use cellwarden_evidence::{CHAIN_FILE, EvidenceWriter, Keys, Limits, ReadIn, verify_chain};
use common::{Bench, input, start};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn lines(bench: &Bench) -> usize {
    fs::read_to_string(bench.dir().join(CHAIN_FILE)).map_or(0, |text| text.lines().count())
}

/// Not a test by itself: writes files until it is killed.
#[test]
fn child_that_writes() {
    let Some(folder) = std::env::var_os("CELLWARDEN_TEST_FOLDER") else { return };
    let folder = PathBuf::from(folder);
    let keys = Keys::load_or_create(&folder.join("keys")).unwrap();
    let mut writer = EvidenceWriter::open(&folder.join("evidence"), keys, Limits::default()).unwrap();
    let mut input = input("gsm");
    input.tiles = vec![common::tiles(2000, 64)];
    loop {
        writer.write(&input, start()).unwrap();
    }
}

#[test]
fn kill_9_while_writing_leaves_a_whole_chain() {
    let bench = Bench::new();
    let mut before = 0;
    for round in 0..12u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["child_that_writes", "--exact"])
            .env("CELLWARDEN_TEST_FOLDER", bench.folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // From when it writes: until then there is nothing to lose.
        let begun = Instant::now();
        while lines(&bench) <= before {
            assert!(begun.elapsed().as_secs() < 60, "it does not write");
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(1700 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        drop(bench.open(Limits::default()));
        let listed = fs::read_dir(bench.dir()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let parts: Vec<String> = listed.filter(|n| n.ends_with(".part")).collect();
        assert_eq!(parts, Vec::<String>::new(), "round {round}");
        before = lines(&bench);
    }
    let verified = verify_chain(&bench.dir(), Some(&bench.public), &[], &ReadIn::ThisProcess).unwrap();
    assert!(verified.fits(), "{:?}", verified.checks);
    assert_eq!(verified.files.len(), before);
}
