//! Reads HDF5 files of strangers in a process of their own.
//!
//! libhdf5 (1.10.8) crashes on some broken files. The caller starts a program again that calls [`serve`] and nothing
//! else; that process bounds its own memory, time and files, reads, and sends the content through a pipe in a plain form
//! that is checked again here. Whatever happens to it, the caller gets content or an error. Hashes and signatures are
//! checked by the caller, so that a process that a file took over cannot say that it fits.

use crate::content::{ITEM_BYTES_MOST, ITEMS_MOST, Item, NAME_BYTES_MOST, TOTAL_BYTES_MOST, Type, elements};
use crate::error::EvidenceError;
use crate::store;
use rustix::process::{Resource, Rlimit, setrlimit};
use std::ffi::OsString;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

const MAGIC: &[u8; 16] = b"cellwarden read1";
const GROUP: u8 = 0;
const END: u8 = 255;
const ERROR: u8 = 254;
const ERROR_BYTES_MOST: u32 = 4096;
/// Dimensions: HDF5 has at most 32.
const DIMENSIONS_MOST: u8 = 32;
/// Content is at most 256 MiB, which a slow disk reads in this time.
const WAIT: Duration = Duration::from_secs(60);
/// Address space of the reading process: the content, its copies while it is converted, libraries.
const MEMORY_BYTES: u64 = 2 << 30;
const PROCESSOR_S: u64 = 60;

/// Where a file is read.
#[derive(Clone, Debug)]
pub enum ReadIn {
    /// Here: for files that this process has just written itself. A hostile one can end this process.
    ThisProcess,
    /// In `program args… FILE`, which must call [`serve`] with FILE and its standard output.
    Child {
        /// The program.
        program: PathBuf,
        /// What comes before the file's name.
        args: Vec<OsString>,
    },
}

impl ReadIn {
    /// In this program again, started with `args` and the file's name.
    ///
    /// # Errors
    /// If the system does not tell where this program is.
    pub fn this_program(args: &[&str]) -> Result<Self, EvidenceError> {
        let program = std::env::current_exe().map_err(crate::error::io_at("finding the program", Path::new("self")))?;
        Ok(Self::Child { program, args: args.iter().map(OsString::from).collect() })
    }
}

/// The content of a file.
pub(crate) fn read(path: &Path, how: &ReadIn) -> Result<Vec<Item>, EvidenceError> {
    let (program, args) = match how {
        ReadIn::ThisProcess => return store::read(path),
        ReadIn::Child { program, args } => (program, args),
    };
    let wrong = |what: String| EvidenceError::Reader { path: path.to_owned(), what };
    // A file name that begins with - is no option.
    let file = if path.is_absolute() { path.to_owned() } else { Path::new(".").join(path) };
    let mut child = Command::new(program)
        .args(args)
        .arg(&file)
        // A file names its filters: none but those in the library may be loaded. Media may be read-only.
        .env("HDF5_PLUGIN_PRELOAD", "::")
        .env("HDF5_USE_FILE_LOCKING", "FALSE")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| wrong(format!("the process that reads it could not be started: {e}")))?;
    let Some(pipe) = child.stdout.take() else { return Err(wrong("the process that reads it has no pipe".to_owned())) };
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || send.send(take(&mut BufReader::with_capacity(1 << 20, pipe))));
    let taken = receive.recv_timeout(WAIT);
    let ended = end(&mut child);
    match taken {
        Ok(Ok(Taken::Items(items))) => Ok(items),
        Ok(Ok(Taken::Refused(what))) => Err(wrong(what)),
        Ok(Err(_)) => Err(wrong(format!(
            "the process that reads it {ended}: it is broken in a way that the HDF5 library cannot bear, and no file as \
             cellwarden writes it"
        ))),
        Err(_) => Err(wrong(format!("it was not read after {} s", WAIT.as_secs()))),
    }
}

/// Ends the process, and says how it ended.
fn end(child: &mut Child) -> String {
    // It has sent its last, or never will.
    let early = child.try_wait().ok().flatten();
    let _ = child.kill();
    match early.map_or_else(|| child.wait(), Ok) {
        Ok(status) if early.is_none() && !status.success() => "did not end in order".to_owned(),
        Ok(status) => format!("ended with {status}"),
        Err(e) => format!("was lost: {e}"),
    }
}

enum Taken {
    Items(Vec<Item>),
    Refused(String),
}

fn number<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn some(from: &mut impl Read, bytes: u64) -> io::Result<Vec<u8>> {
    let mut buffer = Vec::new();
    if from.take(bytes).read_to_end(&mut buffer)? as u64 != bytes {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(buffer)
}

/// Reads what [`serve`] sends, and believes nothing.
fn take(from: &mut impl Read) -> io::Result<Taken> {
    let bad = || io::Error::from(io::ErrorKind::InvalidData);
    if &number::<16>(from)? != MAGIC {
        return Err(bad());
    }
    let (mut items, mut total) = (Vec::<Item>::new(), 0u64);
    loop {
        let [code] = number(from)?;
        let element = match code {
            END => return Ok(Taken::Items(items)),
            ERROR => {
                let bytes = u32::from_le_bytes(number(from)?).min(ERROR_BYTES_MOST);
                let text = String::from_utf8_lossy(&some(from, bytes.into())?).into_owned();
                // It goes to terminals and reports.
                return Ok(Taken::Refused(text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()));
            }
            GROUP => None,
            n => Some(*Type::ALL.get(usize::from(n) - 1).ok_or_else(bad)?),
        };
        let name_bytes = u16::from_le_bytes(number(from)?);
        let name = String::from_utf8(some(from, name_bytes.into())?).map_err(|_| bad())?;
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'/' | b'@');
        // In order, so that no name comes twice.
        let in_order = items.last().is_none_or(|before| before.name < name);
        if name.len() > 4 * NAME_BYTES_MOST || !name.bytes().all(plain) || !in_order || items.len() >= ITEMS_MOST {
            return Err(bad());
        }
        let [dimensions] = number(from)?;
        if dimensions > DIMENSIONS_MOST {
            return Err(bad());
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            shape.push(u64::from_le_bytes(number(from)?));
        }
        let bytes = match element {
            None if shape.is_empty() => 0,
            None => return Err(bad()),
            Some(t) => elements(&shape).and_then(|n| n.checked_mul(t.bytes() as u64)).ok_or_else(bad)?,
        };
        total = total.checked_add(bytes).ok_or_else(bad)?;
        if bytes > ITEM_BYTES_MOST || total > TOTAL_BYTES_MOST {
            return Err(bad());
        }
        items.push(Item { name, element, shape, bytes: some(from, bytes)? });
    }
}

fn give(items: &[Item], to: &mut impl Write) -> io::Result<()> {
    for item in items {
        let code = item
            .element
            .map_or(GROUP, |t| Type::ALL.iter().position(|&other| other == t).map_or(ERROR, |i| i as u8 + 1));
        to.write_all(&[code])?;
        to.write_all(&(item.name.len() as u16).to_le_bytes())?;
        to.write_all(item.name.as_bytes())?;
        to.write_all(&[item.shape.len() as u8])?;
        for n in &item.shape {
            to.write_all(&n.to_le_bytes())?;
        }
        to.write_all(&item.bytes)?;
    }
    to.write_all(&[END])
}

/// The reading process: bounds itself, reads the file and writes its content to `out`. It must do nothing else in its
/// life.
///
/// # Errors
/// If `out` cannot be written.
pub fn serve(path: &Path, out: impl Write) -> io::Result<()> {
    let bound = |resource, most| setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) });
    bound(Resource::As, MEMORY_BYTES)?;
    bound(Resource::Cpu, PROCESSOR_S)?;
    bound(Resource::Core, 0)?;
    bound(Resource::Fsize, 0)?;
    bound(Resource::Nofile, 16)?;
    let mut out = BufWriter::with_capacity(1 << 20, out);
    out.write_all(MAGIC)?;
    match store::read(path) {
        Ok(items) => give(&items, &mut out)?,
        Err(error) => {
            let text = match &error {
                EvidenceError::Hdf5 { doing, source, .. } => format!("{doing}: {source}: it is no whole HDF5 file"),
                EvidenceError::Foreign { what, .. } => {
                    format!("it holds {what}: it is no file as cellwarden writes it")
                }
                other => other.to_string(),
            };
            let text: String = text.chars().take(500).collect();
            out.write_all(&[ERROR])?;
            out.write_all(&(text.len() as u32).to_le_bytes())?;
            out.write_all(text.as_bytes())?;
        }
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn some_items() -> Vec<Item> {
        vec![
            Item::text("/about", "äöü"),
            Item::group("/tiles"),
            Item::number("/tiles@hz", -0.0),
            Item::f32("/tiles/power", vec![2, 1], &[f32::NAN, 1.0]),
            Item::i64("/tiles/time", &[]),
        ]
    }

    fn given(items: &[Item]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        give(items, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn content_comes_through_the_pipe_unchanged() {
        let mut items = some_items();
        items.sort_by(|a, b| a.name.cmp(&b.name));
        let Ok(Taken::Items(back)) = take(&mut given(&items).as_slice()) else { panic!("not taken") };
        assert_eq!(back, items);
        assert!(take(&mut given(&[items[0].clone(), items[0].clone()]).as_slice()).is_err(), "a name twice");
    }

    #[test]
    fn a_size_that_is_claimed_allocates_nothing() {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([1, 1, 0, b'/', 1]);
        bytes.extend(ITEM_BYTES_MOST.to_le_bytes());
        assert!(take(&mut bytes.as_slice()).is_err());
        *bytes.last_mut().unwrap() = 255;
        assert!(take(&mut bytes.as_slice()).is_err());
    }

    proptest! {
        #[test]
        fn a_process_that_was_taken_over_gets_nothing_odd_through(
            at in 0usize..200, value: u8, noise in proptest::collection::vec(any::<u8>(), 0..300)
        ) {
            let mut items = some_items();
            items.sort_by(|a, b| a.name.cmp(&b.name));
            let mut bytes = given(&items);
            let at = at % bytes.len();
            bytes[at] = value;
            let _ = take(&mut bytes.as_slice());
            let mut random = MAGIC.to_vec();
            random.extend(noise);
            if let Ok(Taken::Items(items)) = take(&mut random.as_slice()) {
                prop_assert!(items.iter().all(|i| i.bytes.len() < 300));
            }
        }
    }
}
