//! A receiver behind a SoapyRemote server whose process is killed in mid-stream: over TCP its reader would spin for ever.
#![cfg(feature = "soapy")]

mod common;

use common::receiver::{CENTER, Daemon, RATE_HZ, assert_closed, folder, gaps, recording};
use serde_json::Value;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longer than any wait of these tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// Ends a process with the test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Debian's packages of SoapyRemote, unpacked; and a bus for its server, which ends at once where there is none.
struct SoapyRemote {
    root: PathBuf,
    home: tempfile::TempDir,
    _bus: Ends,
}

impl SoapyRemote {
    fn new(root: PathBuf) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let address = format!("--address=unix:path={}", home.path().join("bus").display());
        let mut bus = Command::new("dbus-daemon");
        bus.args(["--session", "--nofork", "--nopidfile", &address]).stderr(Stdio::null());
        let bus = Ends(bus.spawn().expect("dbus-daemon runs"));
        while !home.path().join("bus").exists() {
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { root, home, _bus: bus }
    }

    fn libraries(&self) -> String {
        self.root.join("usr/lib/x86_64-linux-gnu").display().to_string()
    }

    /// A server of the virtual device.
    fn serve(&self, port: u16) -> Ends {
        let server = Command::new(self.root.join("usr/bin/SoapySDRServer"))
            .arg(format!("--bind=tcp://127.0.0.1:{port}"))
            .env("LD_LIBRARY_PATH", self.libraries())
            .env("DBUS_SYSTEM_BUS_ADDRESS", format!("unix:path={}", self.home.path().join("bus").display()))
            .env("SOAPY_SDR_PLUGIN_PATH", folder())
            .env("SOAPY_SDR_ROOT", "/nonexistent")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Ends(server.expect("the server runs"))
    }

    /// Waits until `is_so`, and starts the server anew whenever it has ended by itself, as a service manager would. Says how
    /// often that was.
    fn serve_until(&self, port: u16, server: &mut Ends, is_so: impl Fn() -> bool) -> usize {
        let (began, mut ended) = (Instant::now(), 0);
        while !is_so() {
            assert!(began.elapsed() < PATIENCE, "not in {PATIENCE:?}; the server ended {ended} times by itself");
            if server.0.try_wait().expect("a child").is_some() {
                ended += 1;
                *server = self.serve(port);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        ended
    }
}

fn gsm(records: &[Value]) -> usize {
    records.iter().filter(|r| r["type"] == "burst" && r["standard"] == "gsm").count()
}

/// Kills the server of a daemon whose samples come by `protocol`, and holds how long its sensor was away against how long the
/// server was.
fn a_server_is_killed_in_mid_stream(protocol: &str) {
    let Some(root) = std::env::var_os("CELLWARDEN_SOAPYREMOTE").map(PathBuf::from).filter(|r| Path::new(r).exists())
    else {
        eprintln!("SKIPPED: $CELLWARDEN_SOAPYREMOTE names no unpacked SoapyRemote");
        return;
    };
    let remote = SoapyRemote::new(root);
    let modules = Path::new(&remote.libraries()).join("SoapySDR/modules0.8").display().to_string();
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let mut server = remote.serve(port);
    let config = format!(
        "[[device]]\nname = 'far'\nsoapy = 'driver=remote,remote=tcp://127.0.0.1:{port},remote:driver=recording,file={}'\n\
         stream = 'remote:prot={protocol}'\nrate = '1M'\ngain = 20\n\
         [[device.channel]]\nsensor = 'one'\ncenter = '{CENTER}'\n",
        recording().display()
    );
    let environment = [("LD_LIBRARY_PATH", remote.libraries()), ("SOAPY_SDR_PLUGIN_PATH", modules)];
    let daemon = Daemon::start_with(&config, &environment);
    let ended = remote.serve_until(port, &mut server, || gsm(&daemon.records()) > 60);
    drop(server);
    let away = Duration::from_secs(4);
    std::thread::sleep(away);
    let mut server = remote.serve(port);
    let before = gsm(&daemon.records());
    let ended = ended + remote.serve_until(port, &mut server, || gsm(&daemon.records()) > before + 60);
    let (records, _) = daemon.end();
    assert_closed(&records, &["one"]);
    let losses: Vec<f64> = gaps(&records, "one", "disconnect").iter().map(|&n| n as f64 / RATE_HZ as f64).collect();
    let longest = losses.iter().copied().fold(0.0, f64::max);
    assert!(longest > 3.0 && longest < away.as_secs_f64() + 5.0, "{losses:?} s");
    // Each time that the server ended by itself, too, the sensor was back within 5 s; and once, as on a busy machine its stream may
    // stand still for a second without that.
    assert!(losses.len() <= ended + 2 && losses.iter().filter(|&&s| s > 5.0).count() <= 1, "{losses:?} s, {ended}");
}

#[test]
fn a_server_that_is_killed_in_mid_stream_costs_its_sensor_no_more_than_5_s_over_tcp() {
    a_server_is_killed_in_mid_stream("tcp");
}

/// The server of Debian 12 (SoapyRemote 0.5.2) ends by itself there now and then, before it is killed.
#[test]
fn a_server_that_is_killed_in_mid_stream_costs_its_sensor_no_more_than_5_s_over_udp() {
    a_server_is_killed_in_mid_stream("udp");
}
