//! The process that reads files of strangers, when it goes wrong. Alone in its file: processes that are started inherit
//! what other tests have open.

mod common;

use cellwarden_evidence::{Limits, Outcome, ReadIn, Verified, verify};
use common::{Bench, input, start};

/// The parts that do not fit.
fn wrong(verified: &Verified) -> Vec<String> {
    let wrong = verified.checks.iter().filter(|c| c.outcome == Outcome::DoesNotFit);
    wrong.map(|c| format!("{}: {}", c.part, c.said)).collect()
}

#[test]
fn a_reader_that_dies_or_lies_is_an_error_and_no_crash() {
    let bench = Bench::new();
    let file = bench.open(Limits::default()).write(&input("gsm"), start()).unwrap();
    let shell =
        |script: &str| ReadIn::Child { program: "/bin/sh".into(), args: ["-c", script, "sh"].map(Into::into).into() };
    for script in ["kill -SEGV $$", "exit 0", "head -c 100000000 /dev/zero", "printf 'cellwarden read1'", "cat $0 $1"] {
        let verified = verify(&file.path, None, &shell(script)).unwrap();
        assert!(wrong(&verified)[0].contains("the process that reads it"), "{script}: {:?}", verified.checks);
    }
    // A process that says that all is well has nothing signed to show.
    let verified = verify(&file.path, None, &shell("printf 'cellwarden read1\\377'")).unwrap();
    assert!(wrong(&verified)[0].starts_with("/manifest"), "{:?}", verified.checks);
    let verified = verify(&file.path, None, &ReadIn::Child { program: "/nowhere".into(), args: vec![] }).unwrap();
    assert!(wrong(&verified)[0].contains("could not be started"), "{:?}", verified.checks);
}
