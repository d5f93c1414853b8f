//! Nothing is allocated for tests while none is due. Alone in its file: a violation aborts the process.

mod common;

use assert_no_alloc::{AllocDisabler, assert_no_alloc};
use cellwarden_detect::DetectConfig;
use cellwarden_selftest::{SelfTestConfig, TestedDetector};
use cellwarden_types::SampleFormat;
use common::Source;

#[global_allocator]
static ALLOCATOR: AllocDisabler = AllocDisabler;

#[test]
fn a_quiet_stream_allocates_nothing_between_tests() {
    // Tasks for other threads are allocated.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    pool.install(|| {
        let config = SelfTestConfig { every_s: 3600.0 };
        let mut tested = TestedDetector::new("quiet".into(), DetectConfig::default(), Some(config));
        let mut source = Source::noise(SampleFormat::Cs16, 4.0 / 128.0);
        let mut out = Vec::with_capacity(64);
        for n in 0..500 {
            let block = source.next();
            if n < 300 {
                tested.process(block, &mut out);
            } else {
                assert_no_alloc(|| tested.process(block, &mut out));
            }
        }
        assert!(out.is_empty());
    });
}
