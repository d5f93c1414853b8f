//! Daemons whose samples come from other programmes: a server of `rtl_tcp` that dies and comes back, and standard input.
#![cfg(feature = "soapy")]

mod common;

use common::receiver::{CENTER, Daemon, RATE_HZ, SAMPLES, assert_closed, gaps, recording};
use common::{golden, hits};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Samples are sent in pieces of so many.
const PIECE: usize = 10_000;

/// A device in the golden site, where `source` says where its samples come from. A busy machine drops none of them.
fn config(source: &str) -> String {
    format!(
        "queue_s = 10.0\nsite = '{}'\n[[device]]\nname = 'west'\n{source}\nrate = '1M'\n\
         [[device.channel]]\nsensor = 'corridor'\ncenter = '{CENTER}'\n",
        golden("site.toml").display()
    )
}

/// Writes `bytes` again and again at their pace until `stop`, `pieces` were written, or the reader has gone.
fn play(bytes: &[u8], bytes_per_sample: usize, to: &mut impl Write, pieces: usize, stop: &AtomicBool) {
    let began = Instant::now();
    let all = bytes.chunks(PIECE * bytes_per_sample).cycle().take(pieces);
    for (n, piece) in all.enumerate() {
        let due = Duration::from_secs_f64(((n + 1) * PIECE) as f64 / RATE_HZ as f64);
        std::thread::sleep(due.saturating_sub(began.elapsed()));
        if stop.load(Ordering::Relaxed) || to.write_all(piece).is_err() {
            return;
        }
    }
}

/// What a client said: a byte and a big-endian number for each command.
type Commands = Arc<Mutex<Vec<(u8, u32)>>>;

/// An `rtl_tcp` server that plays the golden GSM recording to one client after the other, until it is dropped.
struct Server {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    commands: Commands,
}

impl Server {
    fn start(listener: TcpListener) -> Self {
        let (stop, commands) = (Arc::new(AtomicBool::new(false)), Commands::default());
        let (ends, told) = (Arc::clone(&stop), Arc::clone(&commands));
        listener.set_nonblocking(true).expect("a socket");
        let serve = move || {
            while !ends.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((client, _)) => Self::serve(client, &told, &ends),
                    Err(_) => std::thread::sleep(Duration::from_millis(10)),
                }
            }
        };
        Self { stop, thread: Some(std::thread::spawn(serve)), commands }
    }

    fn serve(mut client: TcpStream, commands: &Commands, stop: &AtomicBool) {
        client.set_nonblocking(false).expect("a socket");
        // "RTL0", an R820T, 29 gains.
        client.write_all(b"RTL0\0\0\0\x05\0\0\0\x1d").expect("greets");
        let mut orders = client.try_clone().expect("a socket");
        let told = Arc::clone(commands);
        let listen = std::thread::spawn(move || {
            let mut order = [0; 5];
            while orders.read_exact(&mut order).is_ok() {
                let value = u32::from_be_bytes([order[1], order[2], order[3], order[4]]);
                told.lock().expect("no panic").push((order[0], value));
            }
        });
        let narrow = std::fs::read(golden("gsm.sigmf-data")).expect("the golden recording");
        let unsigned: Vec<u8> = narrow.iter().map(|&b| b ^ 0x80).collect();
        play(&unsigned, 2, &mut client, usize::MAX, stop);
        let _ = client.shutdown(Shutdown::Both);
        listen.join().expect("no panic");
    }

    fn commands(&self) -> Vec<(u8, u32)> {
        self.commands.lock().expect("no panic").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn gsm(records: &[Value]) -> usize {
    records.iter().filter(|r| r["type"] == "burst" && r["standard"] == "gsm").count()
}

fn closed_in_a(records: &[Value]) -> usize {
    hits(records).iter().filter(|h| h["state"] == "closed" && h["block"] == "A" && h["standard"] == "gsm").count()
}

#[test]
fn an_rtl_tcp_server_that_dies_and_comes_back_is_heard_again_within_5_s() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = Server::start(listener);
    let daemon = Daemon::start(&config(&format!("rtl_tcp = '{address}'\ngain = 20.7\nppm = -3")));
    daemon.wait_for("a hit in block A", |r| closed_in_a(r) > 0);
    // Rate, ppm, centre, gain by hand in tenths of a decibel: the numbers of the protocol.
    let wanted = [(2, 1_000_000), (5, u32::from_ne_bytes((-3_i32).to_ne_bytes())), (1, 898_000_000), (3, 1), (4, 207)];
    assert_eq!(server.commands(), wanted);
    drop(server);
    let away = Duration::from_secs(3);
    std::thread::sleep(away);
    let (heard, hit) = (gsm(&daemon.records()), closed_in_a(&daemon.records()));
    let back = Instant::now();
    let server = Server::start(TcpListener::bind(address).expect("the same port"));
    daemon.wait_for("bursts of the server that came back", |r| gsm(r) > heard);
    assert!(back.elapsed() < Duration::from_secs(5), "{:?}", back.elapsed());
    assert_eq!(server.commands(), wanted);
    daemon.wait_for("a hit", |r| closed_in_a(r) > hit);
    assert!(daemon.log().contains("rtl_tcp closed the connection"), "{}", daemon.log());
    let (records, _) = daemon.end();
    let lost: u64 = gaps(&records, "corridor", "disconnect").iter().sum();
    let lost_s = lost as f64 / RATE_HZ as f64;
    assert!(lost_s > away.as_secs_f64() - 0.5 && lost_s < away.as_secs_f64() + 5.0, "{lost_s} s");
    assert_closed(&records, &["corridor"]);
}

#[test]
fn an_rtl_tcp_server_is_tuned_to_one_centre_after_the_other() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = Server::start(listener);
    // 0.2 s at each, of which the server sends in its own pieces of 10 ms.
    let hop = "[device.hop]\ndwell_s = 0.2\nsettle_ms = 20";
    let config = config(&format!("rtl_tcp = '{address}'\ngain = 20.7"))
        .replace(&format!("center = '{CENTER}'"), &format!("centers = ['{CENTER}', '847M', 897400000]"))
        .replace("[[device.channel]]", &format!("{hop}\n[[device.channel]]"));
    let daemon = Daemon::start(&config);
    let centers = || server.commands().iter().filter(|(command, _)| *command == 1).map(|c| c.1).collect::<Vec<_>>();
    daemon.wait_for("eight changes of the centre", |_| centers().len() >= 8);
    let round = [898_000_000, 847_000_000, 897_400_000];
    let told = centers();
    assert_eq!(told, round.into_iter().cycle().take(told.len()).collect::<Vec<_>>());
    // Opening apart, nothing else was said.
    assert_eq!(server.commands().len(), told.len() + 4);
    let (records, _) = daemon.end();
    assert_closed(&records, &["corridor"]);
    // The server plays the same whatever it is told: what is heard lies where the receiver was tuned to.
    let entry = |name: &str| common::receiver::ledger(&records, "corridor", name);
    let (dwell, settle) = (RATE_HZ / 5, RATE_HZ / 50);
    let behind = entry("expected") - dwell;
    assert_eq!(entry("retune"), behind / (dwell + settle) * settle + (behind % (dwell + settle)).min(settle));
}

#[test]
fn standard_input_is_heard_to_its_last_sample_and_its_end_is_the_daemons() {
    let (daemon, mut input) = Daemon::start_fed(&config("stdin = 'cs16'"));
    let samples = std::fs::read(recording()).expect("the golden recording");
    let rounds = 6;
    play(&samples, 4, &mut input, rounds * SAMPLES as usize / PIECE, &AtomicBool::new(false));
    drop(input);
    let records = daemon.ended();
    let summary = records.last().expect("a summary");
    assert_eq!(summary["type"], "summary");
    let ledger = &summary["sensors"]["corridor"];
    assert_eq!(ledger["expected"], rounds as u64 * SAMPLES, "{ledger}");
    assert_eq!(ledger["processed"], ledger["expected"], "{ledger}");
    assert!(closed_in_a(&records) > 0, "{summary}");
    assert!(gsm(&records) > 50 * rounds / 2, "{}", gsm(&records));
}
