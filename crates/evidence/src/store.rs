//! Content to HDF5 and back.
//!
//! What is read may come from a stranger: sizes are checked before anything is allocated, only plain data sets of few
//! types are read, and everything that the file shows is either returned or refused. libhdf5 itself can still crash on a
//! hostile file, so strangers' files are read in a process of their own: [`crate::isolate`].

use crate::content::{ITEM_BYTES_MOST, ITEMS_MOST, Item, TOTAL_BYTES_MOST, Type, elements, is_plain_name};
use crate::error::EvidenceError;
use hdf5::types::{FloatSize, IntSize, TypeDescriptor};
use hdf5::{Container, Dataset, File, FileBuilder, Group, H5Type, Location};
use std::path::Path;

fn failed(path: &Path, doing: impl Into<String>) -> impl FnOnce(hdf5::Error) -> EvidenceError {
    let (path, doing) = (path.to_owned(), doing.into());
    move |source| EvidenceError::Hdf5 { path, doing, source }
}

fn foreign(path: &Path, what: impl Into<String>) -> EvidenceError {
    EvidenceError::Foreign { path: path.to_owned(), what: what.into() }
}

/// A number and its little-endian bytes.
trait Number: H5Type + Copy + Default {
    fn decode(bytes: &[u8]) -> Vec<Self>;
    fn encode(values: &[Self]) -> Vec<u8>;
}

macro_rules! number {
    ($($type:ty),*) => { $(impl Number for $type {
        fn decode(bytes: &[u8]) -> Vec<Self> {
            bytes
                .chunks_exact(size_of::<$type>())
                .map(|b| Self::from_le_bytes(b.try_into().expect("invariant: chunks are exact")))
                .collect()
        }
        fn encode(values: &[Self]) -> Vec<u8> {
            values.iter().flat_map(|v| v.to_le_bytes()).collect()
        }
    })* };
}
number!(u8, u32, u64, i64, f32, f64);

macro_rules! by_type {
    ($element:expr, $function:ident($($argument:expr),*)) => {
        match $element {
            Type::U8 => $function::<u8>($($argument),*),
            Type::U32 => $function::<u32>($($argument),*),
            Type::U64 => $function::<u64>($($argument),*),
            Type::I64 => $function::<i64>($($argument),*),
            Type::F32 => $function::<f32>($($argument),*),
            Type::F64 => $function::<f64>($($argument),*),
        }
    };
}

/// Without libhdf5's lock: a process that is started meanwhile inherits it with the file, and holds it for as long as it
/// lives. A folder has one writer, which holds a lock of its own.
fn unlocked() -> FileBuilder {
    let mut options = File::with_options();
    options.with_fapl(|access| access.file_locking(false));
    options
}

/// Writes a new file. Groups must come before what they hold.
pub(crate) fn write(path: &Path, items: &[Item]) -> Result<(), EvidenceError> {
    let file = unlocked().create(path).map_err(failed(path, "creating the file"))?;
    for item in items {
        let put = || match item.element {
            None => file.create_group(&item.name).map(|_| ()),
            Some(element) => by_type!(element, put(&file, item)),
        };
        put().map_err(failed(path, format!("writing {}", item.name)))?;
    }
    file.flush().map_err(failed(path, "flushing"))?;
    file.close().map_err(failed(path, "closing"))?;
    std::fs::File::open(path).and_then(|f| f.sync_all()).map_err(crate::error::io_at("writing", path))
}

fn put<T: Number>(file: &File, item: &Item) -> hdf5::Result<()> {
    let values = T::decode(&item.bytes);
    let shape: Vec<usize> = item.shape.iter().map(|&n| n as usize).collect();
    match item.name.split_once('@') {
        Some((object, name)) => {
            let group = file.group(if object.is_empty() { "/" } else { object })?;
            let value = values.first().ok_or("an attribute is one number")?;
            group.new_attr::<T>().create(name)?.write_scalar(value)
        }
        None => {
            let dataset = file.new_dataset::<T>().shape(shape).create(item.name.as_str())?;
            if values.is_empty() { Ok(()) } else { dataset.as_writer().write_raw(&values) }
        }
    }
}

/// Everything that a file shows, sorted by name.
pub(crate) fn read(path: &Path) -> Result<Vec<Item>, EvidenceError> {
    let file = unlocked().open(path).map_err(failed(path, "opening it as HDF5"))?;
    if file.userblock() != 0 {
        return Err(foreign(path, "bytes before the HDF5 part (a user block)"));
    }
    let root = file.group("/").map_err(failed(path, "opening the root group"))?;
    let mut reader = Reader { path, items: Vec::new(), bytes: 0 };
    reader.group(&root, "", 0)?;
    reader.items.sort_by(|a, b| a.name.cmp(&b.name));
    // Two links to one object are two names, so names are unique; this guards the guard.
    if reader.items.windows(2).any(|pair| pair[0].name == pair[1].name) {
        return Err(foreign(path, "a name that is there twice"));
    }
    Ok(reader.items)
}

struct Reader<'a> {
    path: &'a Path,
    items: Vec<Item>,
    bytes: u64,
}

impl Reader<'_> {
    fn foreign<T>(&self, what: impl Into<String>) -> Result<T, EvidenceError> {
        Err(foreign(self.path, what))
    }

    fn keep(&mut self, item: Item) -> Result<(), EvidenceError> {
        if self.items.len() >= ITEMS_MOST {
            return self.foreign(format!("more than {ITEMS_MOST} data sets, attributes and groups"));
        }
        self.items.push(item);
        Ok(())
    }

    fn group(&mut self, group: &Group, name: &str, depth: usize) -> Result<(), EvidenceError> {
        // The layout has three levels; a group that holds itself has any number.
        if depth > 3 {
            return self.foreign(format!("group {name} is nested too deep"));
        }
        if depth > 0 {
            self.keep(Item::group(name))?;
        }
        self.object(group, name)?;
        let listing = format!("listing the group {name}/");
        if group.len() > ITEMS_MOST as u64 {
            return self.foreign(format!("group {name}/ has more than {ITEMS_MOST} members"));
        }
        let mut links = Vec::new();
        group
            .iter_visit_default(|member, info| {
                links.push((member.to_owned(), matches!(info.link_type, hdf5::LinkType::Hard)));
                Ok(())
            })
            .map_err(failed(self.path, listing))?;
        for (member, hard) in links {
            if !is_plain_name(&member) {
                return self.foreign(format!("the name {member:?} in group {name}/"));
            }
            let full = format!("{name}/{member}");
            if !hard {
                return self.foreign(format!("{full}, a link to elsewhere"));
            }
            let kind = group.loc_type_by_name(&member).map_err(failed(self.path, format!("looking at {full}")))?;
            match kind {
                hdf5::LocationType::Group => {
                    let inner = group.group(&member).map_err(failed(self.path, format!("opening {full}")))?;
                    self.group(&inner, &full, depth + 1)?;
                }
                hdf5::LocationType::Dataset => {
                    let dataset = group.dataset(&member).map_err(failed(self.path, format!("opening {full}")))?;
                    self.dataset(&dataset, &full)?;
                }
                _ => return self.foreign(format!("{full}, which is neither a group nor a data set")),
            }
        }
        Ok(())
    }

    fn dataset(&mut self, dataset: &Dataset, name: &str) -> Result<(), EvidenceError> {
        self.object(dataset, name)?;
        let plist = dataset.dcpl().map_err(failed(self.path, format!("looking at {name}")))?;
        // The bytes of such lie in other files.
        if matches!(plist.layout(), hdf5::dataset::Layout::Virtual) || !plist.external().is_empty() {
            return self.foreign(format!("{name}, whose bytes lie in other files"));
        }
        if let Some(chunk) = dataset.chunk() {
            let chunk: Vec<u64> = chunk.iter().map(|&n| n as u64).collect();
            if elements(&chunk).is_none_or(|n| n > ITEM_BYTES_MOST) {
                return self.foreign(format!("{name}, stored in pieces that are too large"));
            }
        }
        self.value(dataset, name)
    }

    /// Attributes and comment of a group or data set.
    fn object(&mut self, object: &Location, name: &str) -> Result<(), EvidenceError> {
        if object.comment().is_some_and(|c| !c.is_empty()) {
            return self.foreign(format!("a comment at {name}/"));
        }
        let names = object.attr_names().map_err(failed(self.path, format!("listing the attributes of {name}/")))?;
        for attribute in names {
            if !is_plain_name(&attribute) {
                return self.foreign(format!("the attribute {attribute:?} of {name}/"));
            }
            let full = format!("{name}@{attribute}");
            let opened = object.attr(&attribute).map_err(failed(self.path, format!("opening {full}")))?;
            self.value(&opened, &full)?;
        }
        Ok(())
    }

    fn value(&mut self, container: &Container, name: &str) -> Result<(), EvidenceError> {
        let stored = container.dtype().and_then(|t| t.to_descriptor());
        let element = match stored.map_err(failed(self.path, format!("reading the type of {name}")))? {
            TypeDescriptor::Unsigned(IntSize::U1) => Type::U8,
            TypeDescriptor::Unsigned(IntSize::U4) => Type::U32,
            TypeDescriptor::Unsigned(IntSize::U8) => Type::U64,
            TypeDescriptor::Integer(IntSize::U8) => Type::I64,
            TypeDescriptor::Float(FloatSize::U4) => Type::F32,
            TypeDescriptor::Float(FloatSize::U8) => Type::F64,
            other => return self.foreign(format!("{name} of type {other}")),
        };
        let shape = container.get_shape().map_err(failed(self.path, format!("reading the shape of {name}")))?;
        let shape: Vec<u64> = shape.iter().map(|&n| n as u64).collect();
        let bytes = elements(&shape).and_then(|n| n.checked_mul(element.bytes() as u64));
        let Some(bytes) = bytes.filter(|&b| b <= ITEM_BYTES_MOST && self.bytes + b <= TOTAL_BYTES_MOST) else {
            return self.foreign(format!(
                "{name} of shape {shape:?}, more than {} MiB, or {} MiB with the rest",
                ITEM_BYTES_MOST >> 20,
                TOTAL_BYTES_MOST >> 20
            ));
        };
        self.bytes += bytes;
        let values = by_type!(element, take(container, bytes == 0));
        let bytes_read = values.map_err(failed(self.path, format!("reading {name}")))?;
        if bytes_read.len() as u64 != bytes {
            return self.foreign(format!("{name}, which holds fewer values than its shape says"));
        }
        self.keep(Item { name: name.to_owned(), element: Some(element), shape, bytes: bytes_read })
    }
}

fn take<T: Number>(container: &Container, empty: bool) -> hdf5::Result<Vec<u8>> {
    if empty {
        return Ok(Vec::new());
    }
    // Zeros first: a file may say that what was never written is not to be filled in.
    let mut values = vec![T::default(); container.size()];
    container.read_into_raw(&mut values)?;
    Ok(T::encode(&values))
}
