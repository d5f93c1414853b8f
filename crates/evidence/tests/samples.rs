//! Samples: only under a permission that holds, only encrypted, and not for longer than allowed.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

use age::x25519::Identity;
use cellwarden_evidence::{BandRange, Grant, Permission, PermissionError, SampleVault, VaultError, VaultEvent};
use cellwarden_iq::{Capture, OpenOptions, SigmfHeader, open};
use cellwarden_types::{Hertz, SampleFormat, UtcNanos};
use std::fs;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

fn at(days: f64) -> UtcNanos {
    "2026-03-01T00:00:00Z".parse::<UtcNanos>().unwrap().plus_seconds(days * 86_400.0)
}

fn permission(recipients: Vec<String>) -> Permission {
    Permission {
        reason: "court order 12/2026".to_owned(),
        granted_by: "the governor".to_owned(),
        from: at(1.0),
        until: at(8.0),
        recipients,
        bands: vec![BandRange { low_hz: 880e6, high_hz: 915e6 }],
    }
}

fn pair() -> (Identity, String) {
    let identity = Identity::generate();
    let public = identity.to_public().to_string();
    (identity, public)
}

fn grant(public: &str) -> Grant {
    permission(vec![public.to_owned()]).check(at(0.0)).expect("a good permission")
}

fn header() -> SigmfHeader {
    SigmfHeader {
        format: SampleFormat::Cs16,
        rate: Hertz(1e6),
        center: Hertz(902.4e6),
        time: Some(at(2.0)),
        sensor: Some("a-west/../x".to_owned()),
        description: "a registration".to_owned(),
        recorder: "cellwarden".to_owned(),
    }
}

fn vault(dir: &Path) -> SampleVault {
    SampleVault::open(dir, Duration::from_secs(10 * 86_400), at(0.0)).expect("opens").0
}

const WIDTH: Hertz = Hertz(1e6);
const PATTERN: &[u8] = b"0123456789abcdef0123456789ABCDEF";

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn decrypted(path: &Path, identity: &Identity) -> Result<Vec<u8>, String> {
    let file = fs::File::open(path).unwrap();
    let decryptor = age::Decryptor::new(file).map_err(|e| e.to_string())?;
    let key: &dyn age::Identity = identity;
    let mut plain = Vec::new();
    decryptor.decrypt(std::iter::once(key)).map_err(|e| e.to_string())?.read_to_end(&mut plain).unwrap();
    Ok(plain)
}

#[test]
fn the_recipient_gets_a_sigmf_recording_and_nobody_else_anything() {
    let folder = tempfile::tempdir().unwrap();
    let (identity, public) = pair();
    let grant = grant(&public);
    let vault = vault(folder.path());
    let (permit, event) = grant.permit(at(2.0), header().center, Hertz(3e6)).unwrap();
    let VaultEvent::Permitted { recipients, reason, .. } = &event else { panic!("{event:?}") };
    assert_eq!((recipients.as_slice(), reason.as_str()), ([public].as_slice(), "court order 12/2026"));

    let mut file = vault.begin(&permit, at(2.0), header()).unwrap();
    let bytes = PATTERN.repeat(10_000);
    for chunk in bytes.chunks(4096) {
        file.write(at(2.0), chunk).unwrap();
    }
    let gap = Capture { sample_start: 40_000, center: Hertz(903e6), time: None, global_index: Some(90_000) };
    file.capture(at(2.0), gap).unwrap();
    let (path, event) = file.finish(at(2.0)).unwrap();
    assert!(matches!(&event, VaultEvent::Written { samples: 80_000, .. }), "{event:?}");
    let listed = names(folder.path());
    assert_eq!(listed.len(), 3, "{listed:?}");
    assert!(listed.iter().all(|n| n == "vault.lock" || n.ends_with(".age")), "{listed:?}");

    let out = tempfile::tempdir().unwrap();
    for half in ["data", "meta"] {
        let from = path.to_string_lossy().replace("-data.age", &format!("-{half}.age"));
        fs::write(out.path().join(format!("r.sigmf-{half}")), decrypted(Path::new(&from), &identity).unwrap()).unwrap();
        assert!(decrypted(Path::new(&from), &Identity::generate()).is_err());
    }
    let recording = open(&out.path().join("r.sigmf-meta"), &OpenOptions::default()).unwrap();
    assert_eq!(recording.info.samples, Some(80_000));
    assert_eq!(recording.info.captures.len(), 2);
    assert_eq!(recording.info.sensor, header().sensor);
    assert_eq!(cellwarden_iq::sha512_fits(&recording, &mut |_| {}).unwrap(), Some(true));
    assert_eq!(fs::read(out.path().join("r.sigmf-data")).unwrap(), bytes);
}

#[test]
fn no_plain_byte_is_ever_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let (_, public) = pair();
    let grant = grant(&public);
    let vault = vault(folder.path());
    let (permit, _) = grant.permit(at(2.0), header().center, WIDTH).unwrap();
    let mut file = vault.begin(&permit, at(2.0), header()).unwrap();
    let looked = |when: &str| {
        let mut bytes = 0;
        for name in names(folder.path()) {
            let held = fs::read(folder.path().join(&name)).unwrap();
            bytes += held.len();
            for secret in [&PATTERN[..8], b"a registration", b"a-west"] {
                // The sensor stands in the name of the file, not in it.
                assert!(!held.windows(secret.len()).any(|w| w == secret), "{when}: {name}");
            }
        }
        bytes
    };
    for round in 0..50 {
        file.write(at(2.0), &PATTERN.repeat(1000)).unwrap();
        looked(&format!("round {round}"));
    }
    assert!(looked("before the end") > 1_000_000, "it streams");
    let (_, event) = file.finish(at(2.0)).unwrap();
    assert!(matches!(event, VaultEvent::Written { .. }));
    looked("after the end");
}

#[test]
fn outside_of_its_time_and_bands_a_permission_allows_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (_, public) = pair();
    let grant = grant(&public);
    let center = header().center;
    assert!(matches!(grant.permit(at(0.9), center, WIDTH), Err(PermissionError::NotYet { .. })));
    assert!(matches!(grant.permit(at(8.0), center, WIDTH), Err(PermissionError::Over { .. })));
    for (center, width) in [(879.9e6, 1e6), (914.9e6, 1e6), (900e6, 80e6), (f64::NAN, 1e6), (900e6, f64::NAN)] {
        let permit = grant.permit(at(2.0), Hertz(center), Hertz(width));
        assert!(matches!(permit, Err(PermissionError::OutOfBand { .. })), "{center} {width}: {permit:?}");
    }
    // A permit that was given ends with its time, also in the middle of a recording.
    let vault = vault(folder.path());
    let (permit, _) = grant.permit(at(7.9), center, WIDTH).unwrap();
    let mut file = vault.begin(&permit, at(7.9), header()).unwrap();
    file.write(at(7.99), PATTERN).unwrap();
    assert!(matches!(file.write(at(8.0), PATTERN), Err(VaultError::NotPermitted(PermissionError::Over { .. }))));
    let elsewhere = Capture { sample_start: 8, center: Hertz(1800e6), time: None, global_index: None };
    assert!(matches!(file.capture(at(7.99), elsewhere), Err(VaultError::NotPermitted(_))));
    let (_, event) = file.finish(at(8.1)).unwrap();
    assert!(matches!(event, VaultEvent::Written { samples: 8, .. }), "{event:?}");
    // Nor is it good for another band, or after its time.
    for (now, header) in [(8.0, header()), (7.9, SigmfHeader { center: Hertz(1800e6), ..header() })] {
        assert!(vault.write(&permit, at(now), header, PATTERN).is_err());
    }
    assert_eq!(names(folder.path()).len(), 3, "only what was permitted");
}

#[test]
fn a_bad_permission_is_refused_with_what_to_do() {
    let (identity, public) = pair();
    let good = permission(vec![public.clone()]);
    let secret = age::secrecy::ExposeSecret::expose_secret(&identity.to_string()).to_owned();
    let refused = |edit: &dyn Fn(&mut Permission), word: &str| {
        let mut bad = good.clone();
        edit(&mut bad);
        let error = bad.check(at(0.0)).unwrap_err().to_string();
        assert!(error.contains(word), "{word}: {error}");
        assert!(!error.contains(&secret[20..]), "it shows the secret: {error}");
    };
    refused(&|p| p.reason = " ".into(), "reason");
    refused(&|p| p.granted_by.clear(), "granted_by");
    refused(&|p| p.until = p.from, "not after");
    refused(&|p| p.until = at(31.1), "31 are allowed");
    refused(&|p| p.recipients.clear(), "recipients");
    refused(&|p| p.bands.clear(), "bands");
    refused(&|p| p.bands[0].low_hz = f64::NAN, "band 1");
    refused(&|p| p.bands[0].high_hz = f64::INFINITY, "band 1");
    refused(&|p| p.recipients.push(secret.clone()), "recipient 2 is a private key");
    refused(&|p| p.recipients.push(secret.to_lowercase()), "private key");
    refused(&|p| p.recipients.push("age1xyz".into()), "recipient 2 is no public key");
    assert!(good.clone().check(at(0.0)).is_ok());
    // An old permission is none that is over: it is good, and allows nothing.
    assert!(good.check(at(100.0)).unwrap().permit(at(100.0), header().center, WIDTH).is_err());
}

#[test]
fn the_configuration_knows_every_key() {
    let (_, public) = pair();
    let text = format!(
        "reason = \"a\"\ngranted_by = \"b\"\nfrom = \"2026-03-02T00:00:00Z\"\nuntil = \"2026-03-08T00:00:00Z\"\n\
         recipients = [\"{public}\"]\nbands = [{{ low_hz = 880e6, high_hz = 915e6 }}]\n"
    );
    let read: Permission = toml::from_str(&text).unwrap();
    assert!(read.check(at(0.0)).is_ok());
    let error = toml::from_str::<Permission>(&format!("{text}for_ever = true\n")).unwrap_err().to_string();
    assert!(error.contains("for_ever"), "{error}");
    for key in ["reason", "granted_by", "from", "until", "recipients", "bands"] {
        let without: String = text.lines().filter(|l| !l.starts_with(key)).map(|l| format!("{l}\n")).collect();
        assert!(toml::from_str::<Permission>(&without).is_err(), "{key} may not be left out");
    }
}

#[test]
fn expiry_and_a_restart_delete() {
    let folder = tempfile::tempdir().unwrap();
    let (_, public) = pair();
    let grant = grant(&public);
    let vault = vault(folder.path());
    let (permit, _) = grant.permit(at(2.0), header().center, WIDTH).unwrap();
    let (first, _) = vault.write(&permit, at(2.0), header(), PATTERN).unwrap();
    let (second, _) = vault.write(&permit, at(3.0), header(), PATTERN).unwrap();
    assert!(vault.write(&permit, at(3.0), header(), PATTERN).is_err(), "never over another");
    assert!(vault.write(&permit, at(4.0), header(), &PATTERN[..31]).is_err(), "half a sample");
    assert!(vault.expire(at(11.9)).unwrap().is_empty());
    let events = vault.expire(at(12.1)).unwrap();
    assert_eq!(events.len(), 2, "samples and metadata: {events:?}");
    assert!(!first.exists() && second.exists());
    // What was being written when the box stopped is not kept.
    let mut file = vault.begin(&permit, at(5.0), header()).unwrap();
    file.write(at(5.0), PATTERN).unwrap();
    drop(file);
    assert!(names(folder.path()).iter().any(|n| n.ends_with(".part")));
    assert!(SampleVault::open(folder.path(), Duration::ZERO, at(5.0)).is_err(), "one process at a time");
    drop(vault);
    let (_vault, events) = SampleVault::open(folder.path(), Duration::from_secs(86_400), at(13.0)).unwrap();
    assert_eq!(events.len(), 3, "{events:?}");
    assert_eq!(names(folder.path()), ["vault.lock"]);
}
