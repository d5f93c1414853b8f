//! A receiver through the real SoapySDR library, and a box that listens to it.
#![allow(dead_code)] // each test file uses its part

use super::{golden, records};
use serde_json::Value;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// The golden GSM recording's rate, centre and length.
pub const RATE_HZ: u64 = 1_000_000;
pub const CENTER: &str = "898.0M";
pub const SAMPLES: u64 = 500_000;

/// A folder with the device's module, and the golden GSM recording as cs16.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let made = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let flags = Command::new("pkg-config").args(["--cflags", "--libs", "SoapySDR"]).output().expect("pkg-config");
        let flags = String::from_utf8(flags.stdout).expect("UTF-8");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/soapy/recording_device.cpp");
        let built = Command::new("c++")
            .args(["-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"])
            .arg(folder.path().join("librecordingSupport.so"))
            .arg(source)
            .args(flags.split_whitespace())
            .status();
        assert!(built.expect("c++ runs").success());
        let narrow = std::fs::read(golden("gsm.sigmf-data")).expect("the golden recording");
        let wide: Vec<u8> = narrow.iter().flat_map(|&b| (i16::from(b as i8) * 256).to_le_bytes()).collect();
        std::fs::write(folder.path().join("gsm.cs16"), wide).expect("writes");
        folder
    });
    made.path()
}

/// The recording that the device plays.
pub fn recording() -> PathBuf {
    folder().join("gsm.cs16")
}

/// The device's arguments.
pub fn device(more: &str) -> String {
    format!("driver=recording,file={}{more}", recording().display())
}

/// The command, where it finds the device and nothing else.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cellwarden"));
    command
        .args(args)
        .stdin(Stdio::null())
        .env("SOAPY_SDR_PLUGIN_PATH", folder())
        // The system's own modules would look for hardware.
        .env("SOAPY_SDR_ROOT", "/nonexistent");
    command
}

/// Daemons have to keep up with their samples: of those in one test file, one runs at a time.
static ONE: Mutex<()> = Mutex::new(());

/// Data in the folder of the test, and any free port.
const OWN: &str = "health = '127.0.0.1:0'\ndata = 'data'\n";

/// A daemon that runs.
pub struct Daemon {
    one: Option<MutexGuard<'static, ()>>,
    child: Child,
    folder: Option<tempfile::TempDir>,
    began: Instant,
    manager: UnixDatagram,
}

impl Daemon {
    /// Starts it with a configuration, in which `STATE` stands for a path of its own.
    pub fn start(config: &str) -> Self {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        Self::start_in(tempfile::tempdir().expect("a folder"), one, config, &[])
    }

    /// The same, with more in its environment.
    pub fn start_with(config: &str, environment: &[(&str, String)]) -> Self {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        Self::start_in(tempfile::tempdir().expect("a folder"), one, config, environment)
    }

    /// The same with a configuration that says itself where its data are.
    pub fn start_bare(config: &str) -> Self {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        Self::start_as(tempfile::tempdir().expect("a folder"), one, config.to_owned(), &[], Stdio::null())
    }

    /// The same with samples on its standard input, which is given back.
    pub fn start_fed(config: &str) -> (Self, ChildStdin) {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir().expect("a folder");
        let mut daemon = Self::start_as(folder, one, format!("{OWN}{config}"), &[], Stdio::piped());
        let input = daemon.child.stdin.take().expect("piped");
        (daemon, input)
    }

    /// Kills it, and starts it again where it was, with the same data.
    pub fn kill_and_start_again(mut self, config: &str) -> Self {
        self.child.kill().expect("kills");
        self.child.wait().expect("ends");
        let (one, folder) = (self.one.take().expect("held"), self.folder.take().expect("held"));
        Self::start_in(folder, one, config, &[])
    }

    fn start_in(
        folder: tempfile::TempDir,
        one: MutexGuard<'static, ()>,
        config: &str,
        environment: &[(&str, String)],
    ) -> Self {
        let state = folder.path().join("state").display().to_string();
        let config = format!("{OWN}{}", config.replace("STATE", &state));
        Self::start_as(folder, one, config, environment, Stdio::null())
    }

    fn start_as(
        folder: tempfile::TempDir,
        one: MutexGuard<'static, ()>,
        config: String,
        environment: &[(&str, String)],
        input: Stdio,
    ) -> Self {
        let path = folder.path().join("box.toml");
        std::fs::write(&path, config).expect("writes");
        let file = |name: &str| std::fs::File::create(folder.path().join(name)).expect("a file");
        let args = ["run", "--bursts", "--format", "jsonl", "--config", &path.display().to_string()];
        let socket = folder.path().join("manager");
        // One of the life before.
        let _ = std::fs::remove_file(&socket);
        let manager = UnixDatagram::bind(&socket).expect("a socket");
        manager.set_nonblocking(true).expect("a socket");
        let mut command = command(&args);
        command.env("CELLWARDEN_LOG", "info").env("NOTIFY_SOCKET", &socket).envs(environment.iter().cloned());
        let child = command.stdin(input).stdout(file("out")).stderr(file("err")).spawn().expect("the binary runs");
        Self { one: Some(one), child, folder: Some(folder), began: Instant::now(), manager }
    }

    /// A file in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.as_ref().expect("held").path().join(name)
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// What it told the service manager since this was asked the last time.
    pub fn told(&self) -> Vec<String> {
        let mut told = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(length) = self.manager.recv(&mut buffer) {
            told.extend(String::from_utf8_lossy(&buffer[..length]).lines().map(str::to_owned));
        }
        told
    }

    /// What it printed so far.
    pub fn records(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path("out")).expect("its output");
        // The last line may not be whole yet.
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        records(whole)
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("err")).expect("its log")
    }

    /// Waits until it logged these words, half a minute at most.
    pub fn wait_for_log(&self, words: &str) {
        let until = Instant::now() + Duration::from_secs(30);
        while !self.log().contains(words) {
            assert!(Instant::now() < until, "waited for {words:?}: {}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until its records are such, half a minute at most.
    pub fn wait_for(&self, what: &str, is_so: impl Fn(&[Value]) -> bool) {
        let until = Instant::now() + Duration::from_secs(30);
        while !is_so(&self.records()) {
            if Instant::now() > until {
                let gaps: Vec<Value> = self.records().into_iter().filter(|r| r["type"] == "gap").collect();
                panic!("waited for {what}: {gaps:#?} {}", self.log());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits for its end, as its devices have ended, half a minute at most. Gives its records.
    pub fn ended(mut self) -> Vec<Value> {
        let until = Instant::now() + Duration::from_secs(30);
        let status = loop {
            match self.child.try_wait().expect("a child") {
                Some(status) => break status,
                None => assert!(Instant::now() < until, "waited for its end: {}", self.log()),
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        assert!(status.success(), "{status}: {}", self.log());
        self.records()
    }

    /// Ends it as the service manager does. Gives its records, and how long it ran.
    pub fn end(mut self) -> (Vec<Value>, Duration) {
        let ran = self.began.elapsed();
        (self.terminated(), ran)
    }

    /// The same, with what it logged to its end.
    pub fn end_with_log(mut self) -> (Vec<Value>, String) {
        (self.terminated(), self.log())
    }

    /// The same, and looks at what it left behind.
    pub fn end_and<T>(mut self, look: impl FnOnce(&Self) -> T) -> T {
        self.terminated();
        look(&self)
    }

    fn terminated(&mut self) -> Vec<Value> {
        self.signal("TERM");
        let asked = Instant::now();
        let status = self.child.wait().expect("ends");
        assert!(status.success(), "{status}: {}", self.log());
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
        let records = self.records();
        assert_eq!(records.last().expect("a summary")["type"], "summary");
        records
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Samples missing at a sensor by reason.
pub fn gaps(records: &[Value], sensor: &str, reason: &str) -> Vec<u64> {
    let of = |r: &&Value| r["type"] == "gap" && r["sensor"] == sensor && r["reason"] == reason;
    records.iter().filter(of).map(|r| r["sample_count"].as_u64().expect("a count")).collect()
}

/// An entry of a sensor's ledger.
pub fn ledger(records: &[Value], sensor: &str, entry: &str) -> u64 {
    let summary = records.last().expect("a summary");
    summary["sensors"][sensor][entry].as_u64().unwrap_or(0)
}

/// That every sample of every sensor is accounted for, in the ledger as in the gaps.
pub fn assert_closed(records: &[Value], sensors: &[&str]) {
    for sensor in sensors {
        let entry = |name: &str| ledger(records, sensor, name);
        let sum = |reason: &str| gaps(records, sensor, reason).iter().sum::<u64>();
        assert_eq!(
            entry("expected"),
            entry("processed") + entry("overflow") + entry("dropped") + entry("overload") + entry("retune"),
            "{sensor}"
        );
        assert_eq!(entry("overflow"), sum("overflow") + sum("disconnect"), "{sensor}");
        assert_eq!(entry("disconnected"), sum("disconnect"), "{sensor}");
        assert_eq!(entry("dropped"), sum("dropped"), "{sensor}");
        assert_eq!(entry("overload"), sum("overload"), "{sensor}");
    }
}
