//! SigMF recordings: reading any that holds one channel of a type that cellwarden knows, and writing
//! recordings and bare metadata.
//!
//! Unknown keys are left alone; known keys of a wrong type are errors that name the key.

use crate::IqError;
use crate::open::{OpenOptions, append, checked_center, checked_rate, open_file, overrule, whole_samples};
use crate::recording::{Annotation, Capture, Recording, RecordingInfo, Source};
use cellwarden_types::{Hertz, SampleFormat, UtcNanos};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha512};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// Metadata is held in memory; a longer file is not metadata.
const MAX_META_BYTES: u64 = 1 << 30;

/// Version of the `cellwarden` and `truth` namespaces that are written.
const NAMESPACE_VERSION: &str = "1.0.0";

#[derive(Debug, Deserialize)]
struct Meta {
    global: Global,
    #[serde(default)]
    captures: Vec<MetaCapture>,
    #[serde(default)]
    annotations: Vec<Map<String, Value>>,
}

#[derive(Debug, Deserialize)]
struct Global {
    #[serde(rename = "core:datatype")]
    datatype: String,
    #[serde(rename = "core:version")]
    version: String,
    #[serde(rename = "core:sample_rate")]
    sample_rate: Option<f64>,
    #[serde(rename = "core:num_channels")]
    num_channels: Option<u64>,
    #[serde(rename = "core:offset", default)]
    offset: u64,
    #[serde(rename = "core:description")]
    description: Option<String>,
    #[serde(rename = "core:sha512")]
    sha512: Option<String>,
    #[serde(rename = "core:dataset")]
    dataset: Option<String>,
    #[serde(rename = "core:trailing_bytes", default)]
    trailing_bytes: u64,
    #[serde(rename = "core:metadata_only", default)]
    metadata_only: bool,
    /// An array since SigMF 0.0.2 or so, an object before.
    #[serde(rename = "core:extensions", default)]
    extensions: Value,
    #[serde(rename = "cellwarden:sensor")]
    sensor: Option<String>,
}

#[derive(Debug, Deserialize)]
struct MetaCapture {
    #[serde(rename = "core:sample_start")]
    sample_start: u64,
    #[serde(rename = "core:frequency")]
    frequency: Option<f64>,
    #[serde(rename = "core:datetime")]
    datetime: Option<String>,
    #[serde(rename = "core:global_index")]
    global_index: Option<u64>,
    #[serde(rename = "core:header_bytes", default)]
    header_bytes: u64,
}

/// `stem` with `suffix`, whichever of the recording's names `path` is.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let stem = match path.extension().and_then(|e| e.to_str()) {
        Some("sigmf-meta" | "sigmf-data") => path.with_extension(""),
        _ => path.to_owned(),
    };
    append(&stem, suffix)
}

/// Makes errors about one metadata file.
struct At<'a>(&'a Path);

impl At<'_> {
    fn wrong(&self, place: impl Into<String>, wrong: impl Into<String>, fix: &'static str) -> IqError {
        IqError::Format { path: self.0.to_owned(), place: place.into(), wrong: wrong.into(), fix }
    }
}

/// Reads and checks a metadata file's JSON.
fn read_meta(path: &Path) -> Result<Meta, IqError> {
    let at = At(path);
    let (file, len) = open_file(path)?;
    if len > MAX_META_BYTES {
        return Err(at.wrong("file", format!("{len} bytes of metadata"), "name the .sigmf-meta file, not the data"));
    }
    let mut text = Vec::new();
    file.take(MAX_META_BYTES).read_to_end(&mut text).map_err(|source| IqError::Read {
        path: path.to_owned(),
        offset: 0,
        source,
    })?;
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&text);
    let mut json = serde_json::Deserializer::from_slice(text);
    let meta: Meta = serde_path_to_error::deserialize(&mut json).map_err(|e| {
        let place = e.path().to_string();
        let place = if place == "." { "metadata".to_owned() } else { place };
        at.wrong(place, e.inner().to_string(), "correct the metadata (sigmf_validate checks it)")
    })?;
    json.end().map_err(|e| at.wrong("end of file", e.to_string(), "remove what follows the metadata"))?;
    Ok(meta)
}

/// The sample format of a `core:datatype`.
fn format_of(datatype: &str) -> Option<SampleFormat> {
    // Endianness says nothing about bytes; wider types must say little.
    let bytes = datatype.trim_end_matches("_le").trim_end_matches("_be");
    SampleFormat::ALL.into_iter().find(|f| datatype == f.sigmf_name() || bytes == f.sigmf_name())
}

/// Whether a `core:version` is one whose recordings read the same: 0.x and 1.x.
fn version_is_known(version: &str) -> bool {
    let parts: Vec<&str> = version.trim_start_matches('v').split('.').collect();
    matches!(parts.first(), Some(&("0" | "1"))) && parts.len() >= 2 && parts.iter().all(|p| !p.is_empty())
}

/// Opens the recording that one of its files, or their common stem, names.
pub(crate) fn open(path: &Path, options: &OpenOptions) -> Result<Recording, IqError> {
    let meta_path = with_suffix(path, ".sigmf-meta");
    if !meta_path.exists() {
        let fix = ": a SigMF recording is a .sigmf-meta and a .sigmf-data file; bare samples open as cs16:FILE";
        return Err(IqError::Missing { path: meta_path, fix: fix.to_owned() });
    }
    let meta = read_meta(&meta_path)?;
    let at = At(&meta_path);
    let global = meta.global;
    let mut warnings = Vec::new();

    if !version_is_known(&global.version) {
        let wrong = format!("version {:?}", global.version);
        return Err(at.wrong("global.core:version", wrong, "cellwarden reads SigMF 0.x and 1.x"));
    }
    let format = format_of(&global.datatype).ok_or_else(|| {
        let wrong = format!("datatype {:?} is not read", global.datatype);
        at.wrong("global.core:datatype", wrong, "convert it to cu8, ci8, ci16_le or cf32_le")
    })?;
    if let Some(n) = global.num_channels.filter(|&n| n != 1) {
        let wrong = format!("{n} interleaved channels");
        return Err(at.wrong("global.core:num_channels", wrong, "write each channel to a recording of its own"));
    }
    if let Value::Array(extensions) = &global.extensions {
        for extension in extensions {
            let name = extension.get("name").and_then(Value::as_str).unwrap_or("?");
            let needed = extension.get("optional") == Some(&Value::Bool(false));
            if needed && !matches!(name, "cellwarden" | "truth") {
                warnings.push(format!("the recording wants the SigMF extension {name:?}, which is not known here"));
            }
        }
    }
    let rate = match (options.rate, global.sample_rate) {
        (None, None) => {
            let what = "the sample rate (core:sample_rate)";
            return Err(IqError::Unknown { path: meta_path, what, fix: "add --rate HZ or put it into the metadata" });
        }
        (Some(given), None) => given,
        (_, Some(own)) => Hertz(own),
    };

    let data_path = data_path(&meta_path, &global)?;
    let (file, bytes) = open_file(&data_path)?;
    let (mut captures, headers) = captures(&at, meta.captures, global.offset, options, &mut warnings)?;

    // Headers of non-conforming data sets push the samples back.
    let unit = format.bytes_per_sample() as u64;
    let mut skipped = 0u64;
    let mut offsets = Vec::with_capacity(captures.len());
    for (capture, header) in captures.iter().zip(&headers) {
        skipped = skipped.saturating_add(*header);
        let offset = capture.sample_start.checked_mul(unit).and_then(|b| b.checked_add(skipped));
        offsets.push(offset.unwrap_or(u64::MAX));
    }
    let bytes = bytes.saturating_sub(global.trailing_bytes);
    // Headers that lie past the end of the data are not in it.
    let headers_held: u64 = offsets.iter().zip(&headers).take_while(|(o, _)| **o <= bytes).map(|(_, h)| h).sum();
    let held = bytes.saturating_sub(headers_held);
    let (samples, odd) = whole_samples(&data_path, held, format, &mut warnings)?;

    let first = captures.first().map_or(0, |c| c.sample_start);
    if first >= samples {
        let wrong = format!("the first capture begins at sample {first}, the data hold {samples}");
        return Err(at.wrong("captures[0]", wrong, "find the whole data file"));
    }
    if first > 0 {
        warnings.push(format!("the first {first} samples belong to no capture: left out"));
    }
    let all = captures.len();
    captures.retain(|c| c.sample_start < samples);
    if captures.len() < all {
        let n = all - captures.len();
        warnings.push(format!(
            "{n} of {all} captures begin past the end of the data ({samples} samples): data are cut off"
        ));
    }
    offsets.truncate(captures.len());

    let annotations = annotations(&at, meta.annotations, global.offset, &captures, samples)?;
    let late = annotations.iter().filter(|a| a.sample_start.saturating_add(a.sample_count) > samples).count();
    if late > 0 {
        let all = annotations.len();
        warnings.push(format!(
            "{late} of {all} annotations end past the end of the data ({samples} samples): data are cut off"
        ));
    }
    let mut info = RecordingInfo {
        path: meta_path.clone(),
        container: "SigMF",
        format,
        rate,
        sensor: global.sensor,
        captures,
        samples: Some(samples),
        annotations,
        sha512: global.sha512,
        description: global.description,
        warnings,
    };
    overrule(&mut info, options);
    checked_rate(&meta_path, info.rate)?;
    for capture in &info.captures {
        checked_center(&meta_path, capture.center)?;
    }
    Ok(Recording::new(info, data_path, Source::File(file), &offsets, odd))
}

/// Where the samples are.
fn data_path(meta_path: &Path, global: &Global) -> Result<PathBuf, IqError> {
    let at = At(meta_path);
    let data = match &global.dataset {
        // SigMF: a bare file name beside the metadata; anything else could point anywhere.
        Some(name) => {
            if name.is_empty() || name == ".." || name.contains(['/', '\\', '\0']) {
                let wrong = format!("{name:?} is no bare file name");
                return Err(at.wrong("global.core:dataset", wrong, "put the data file beside the metadata"));
            }
            meta_path.with_file_name(name)
        }
        None => with_suffix(meta_path, ".sigmf-data"),
    };
    if data.exists() {
        return Ok(data);
    }
    let fix = if global.metadata_only {
        ": the metadata say that they come without samples"
    } else {
        ": put the samples beside their metadata"
    };
    Err(IqError::Missing { path: data, fix: fix.to_owned() })
}

/// The captures in the file's own samples, and the header bytes before each.
fn captures(
    at: &At<'_>,
    metas: Vec<MetaCapture>,
    offset: u64,
    options: &OpenOptions,
    warnings: &mut Vec<String>,
) -> Result<(Vec<Capture>, Vec<u64>), IqError> {
    // SigMF: no captures stand for one at the beginning.
    let implied =
        || MetaCapture { sample_start: offset, frequency: None, datetime: None, global_index: None, header_bytes: 0 };
    let metas = if metas.is_empty() { vec![implied()] } else { metas };
    let mut captures: Vec<Capture> = Vec::with_capacity(metas.len());
    let mut headers = Vec::with_capacity(metas.len());
    let mut inherited = 0;
    for (k, meta) in metas.into_iter().enumerate() {
        let place = |key: &str| format!("captures[{k}].core:{key}");
        let sample_start = meta.sample_start.checked_sub(offset).ok_or_else(|| {
            let wrong = format!("{} is before core:offset {offset}", meta.sample_start);
            at.wrong(place("sample_start"), wrong, "correct one of them")
        })?;
        if let Some(before) = captures.last() {
            if sample_start <= before.sample_start {
                let kind = if sample_start == before.sample_start { "overlaps" } else { "comes before" };
                let wrong = format!("{sample_start} {kind} the capture before it, from {}", before.sample_start);
                return Err(at.wrong(place("sample_start"), wrong, "captures must be sorted and must not overlap"));
            }
        }
        let center = match (meta.frequency, captures.last()) {
            (Some(hertz), _) => Hertz(hertz),
            (None, _) if options.center.is_some() => options.center.unwrap_or_default(),
            (None, Some(before)) => {
                inherited += 1;
                before.center
            }
            (None, None) => {
                let what = "the centre frequency (core:frequency)";
                let fix = "add --center HZ or put it into the metadata";
                return Err(IqError::Unknown { path: at.0.to_owned(), what, fix });
            }
        };
        let time = match meta.datetime {
            None => None,
            Some(text) => {
                let time = text.parse::<UtcNanos>();
                Some(time.map_err(|e| at.wrong(place("datetime"), e.to_string(), "correct or delete it"))?)
            }
        };
        captures.push(Capture { sample_start, center, time, global_index: meta.global_index });
        headers.push(meta.header_bytes);
    }
    if inherited > 0 {
        warnings.push(format!("{inherited} captures name no core:frequency: taken as unchanged"));
    }
    Ok((captures, headers))
}

/// The annotations in the file's own samples, sorted.
fn annotations(
    at: &At<'_>,
    metas: Vec<Map<String, Value>>,
    offset: u64,
    captures: &[Capture],
    samples: u64,
) -> Result<Vec<Annotation>, IqError> {
    let mut annotations = Vec::with_capacity(metas.len());
    for (k, mut meta) in metas.into_iter().enumerate() {
        let wrong = |key: &str, value: &Value, want: &str| {
            at.wrong(format!("annotations[{k}].{key}"), format!("{value} is no {want}"), "correct the metadata")
        };
        let mut count = |key: &str| match meta.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(v) => v.as_u64().map(Some).ok_or_else(|| wrong(key, &v, "whole number from 0")),
        };
        let start = count("core:sample_start")?
            .ok_or_else(|| at.wrong(format!("annotations[{k}]"), "no core:sample_start", "correct the metadata"))?;
        let sample_count = count("core:sample_count")?;
        let mut number = |key: &str| match meta.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(v) => v.as_f64().map(Some).ok_or_else(|| wrong(key, &v, "number")),
        };
        let (freq_lower_hz, freq_upper_hz) = (number("core:freq_lower_edge")?, number("core:freq_upper_edge")?);
        let mut text = |key: &str| match meta.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(s)) => Ok(Some(s)),
            Some(v) => Err(wrong(key, &v, "text")),
        };
        let (label, comment) = (text("core:label")?, text("core:comment")?);
        let sample_start = start.checked_sub(offset).ok_or_else(|| {
            let wrong = format!("{start} is before core:offset {offset}");
            at.wrong(format!("annotations[{k}].core:sample_start"), wrong, "correct one of them")
        })?;
        // SigMF: without a count it lasts until its capture ends.
        let end = || {
            let next = captures.partition_point(|c| c.sample_start <= sample_start);
            captures.get(next).map_or(samples, |c| c.sample_start)
        };
        annotations.push(Annotation {
            sample_start,
            sample_count: sample_count.unwrap_or_else(|| end().saturating_sub(sample_start)),
            freq_lower_hz,
            freq_upper_hz,
            label,
            comment,
            extra: meta,
        });
    }
    annotations.sort_by_key(|a| a.sample_start);
    Ok(annotations)
}

/// What a recording that is written says about itself.
#[derive(Clone, Debug, PartialEq)]
pub struct SigmfHeader {
    /// How one sample is stored.
    pub format: SampleFormat,
    /// Complex samples per second.
    pub rate: Hertz,
    /// What the radio is tuned to at the start.
    pub center: Hertz,
    /// UTC of the first sample.
    pub time: Option<UtcNanos>,
    /// The sensor's name.
    pub sensor: Option<String>,
    /// Free text.
    pub description: String,
    /// The software that records.
    pub recorder: String,
}

/// The metadata of a recording, as SigMF 1.2.0 wants them.
///
/// Without `captures` there is one, of the header. Captures and annotations come out sorted;
/// namespaces that `annotations` use are declared. Edges of a band are written if both are known.
pub fn sigmf_meta_json(
    header: &SigmfHeader,
    captures: &[Capture],
    annotations: &[Annotation],
    sha512: Option<String>,
) -> Value {
    let first = [Capture { sample_start: 0, center: header.center, time: header.time, global_index: None }];
    let mut captures: Vec<&Capture> =
        if captures.is_empty() { first.iter().collect() } else { captures.iter().collect() };
    captures.sort_by_key(|c| c.sample_start);
    let mut annotations: Vec<&Annotation> = annotations.iter().collect();
    annotations.sort_by_key(|a| a.sample_start);

    let mut namespaces = BTreeSet::from(["cellwarden"]);
    let keys = annotations.iter().flat_map(|a| a.extra.keys());
    namespaces.extend(keys.filter_map(|k| k.split_once(':')).map(|(n, _)| n).filter(|&n| n != "core"));
    let extensions: Vec<Value> =
        namespaces.iter().map(|n| json!({"name": n, "version": NAMESPACE_VERSION, "optional": true})).collect();

    let mut global = Map::new();
    global.insert("core:datatype".into(), header.format.sigmf_name().into());
    global.insert("core:version".into(), "1.2.0".into());
    global.insert("core:sample_rate".into(), header.rate.0.into());
    global.insert("core:extensions".into(), extensions.into());
    let texts = [
        ("core:description", Some(header.description.as_str())),
        ("core:recorder", Some(header.recorder.as_str())),
        ("core:sha512", sha512.as_deref()),
        ("cellwarden:sensor", header.sensor.as_deref()),
    ];
    for (key, text) in texts {
        if let Some(text) = text.filter(|t| !t.is_empty()) {
            global.insert(key.into(), text.into());
        }
    }
    let captures: Vec<Value> = captures
        .iter()
        .map(|c| {
            let mut capture = Map::new();
            capture.insert("core:sample_start".into(), c.sample_start.into());
            capture.insert("core:frequency".into(), c.center.0.into());
            if let Some(time) = c.time {
                capture.insert("core:datetime".into(), time.to_string().into());
            }
            if let Some(index) = c.global_index {
                capture.insert("core:global_index".into(), index.into());
            }
            capture.into()
        })
        .collect();
    let annotations: Vec<Value> = annotations
        .iter()
        .map(|a| {
            let mut annotation = a.extra.clone();
            annotation.insert("core:sample_start".into(), a.sample_start.into());
            annotation.insert("core:sample_count".into(), a.sample_count.into());
            if let (Some(lower), Some(upper)) = (a.freq_lower_hz, a.freq_upper_hz) {
                // JSON has no NaN, and SigMF wants both edges or none.
                if lower.is_finite() && upper.is_finite() {
                    annotation.insert("core:freq_lower_edge".into(), lower.into());
                    annotation.insert("core:freq_upper_edge".into(), upper.into());
                }
            }
            for (key, text) in [("core:label", &a.label), ("core:comment", &a.comment)] {
                if let Some(text) = text {
                    annotation.insert(key.into(), text.as_str().into());
                }
            }
            annotation.into()
        })
        .collect();
    json!({"global": global, "captures": captures, "annotations": annotations})
}

/// Writes metadata to `path` (a stem or a `.sigmf-meta` name) for samples that lie elsewhere or
/// beside it, and returns the name of the file.
///
/// Where no `.sigmf-data` file lies beside it, it says so with `core:metadata_only`.
///
/// # Errors
/// If the rate makes no sense or the file cannot be written.
pub fn write_annotations_only(
    path: &Path,
    header: &SigmfHeader,
    captures: &[Capture],
    annotations: &[Annotation],
) -> Result<PathBuf, IqError> {
    checked_rate(path, header.rate)?;
    let mut meta = sigmf_meta_json(header, captures, annotations, None);
    if !with_suffix(path, ".sigmf-data").exists() {
        meta["global"]["core:metadata_only"] = true.into();
    }
    write_meta(&with_suffix(path, ".sigmf-meta"), &meta)
}

/// Writes a metadata file in one step.
fn write_meta(path: &Path, meta: &Value) -> Result<PathBuf, IqError> {
    let failed = |source| IqError::Write { path: path.to_owned(), source };
    let part = append(path, ".part");
    let mut file = BufWriter::new(File::create(&part).map_err(failed)?);
    serde_json::to_writer_pretty(&mut file, meta).map_err(|e| failed(e.into()))?;
    file.write_all(b"\n").map_err(failed)?;
    let file = file.into_inner().map_err(|e| failed(e.into_error()))?;
    file.sync_all().map_err(failed)?;
    std::fs::rename(&part, path).map_err(failed)?;
    Ok(path.to_owned())
}

/// Writes a SigMF recording as its samples come.
///
/// The samples go to `NAME.sigmf-data.part`; [`finish`](Self::finish) gives both files their names, in
/// place of any recording that had them. After a crash the `.part` file holds the samples.
#[derive(Debug)]
pub struct SigmfWriter {
    meta_path: PathBuf,
    data_path: PathBuf,
    part: PathBuf,
    data: BufWriter<File>,
    hash: Sha512,
    header: SigmfHeader,
    captures: Vec<Capture>,
    annotations: Vec<Annotation>,
}

impl SigmfWriter {
    /// Begins a recording; `stem` is its name, with or without one of SigMF's extensions.
    ///
    /// # Errors
    /// If rate or centre make no sense or the file cannot be made.
    pub fn create(stem: &Path, header: SigmfHeader) -> Result<Self, IqError> {
        checked_rate(stem, header.rate)?;
        checked_center(stem, header.center)?;
        let data_path = with_suffix(stem, ".sigmf-data");
        let part = append(&data_path, ".part");
        let file = File::create(&part).map_err(|source| IqError::Write { path: part.clone(), source })?;
        let first = Capture { sample_start: 0, center: header.center, time: header.time, global_index: None };
        Ok(Self {
            meta_path: with_suffix(stem, ".sigmf-meta"),
            data_path,
            part,
            data: BufWriter::with_capacity(1 << 16, file),
            hash: Sha512::new(),
            header,
            captures: vec![first],
            annotations: Vec::new(),
        })
    }

    /// Appends whole samples.
    ///
    /// # Errors
    /// If `bytes` ends within a sample or the file cannot be written.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), IqError> {
        let unit = self.header.format.bytes_per_sample();
        if bytes.len() % unit != 0 {
            return Err(IqError::PartialSample { path: self.part.clone(), bytes: bytes.len(), unit });
        }
        self.data.write_all(bytes).map_err(|source| IqError::Write { path: self.part.clone(), source })?;
        self.hash.update(bytes);
        Ok(())
    }

    /// From its first sample on the radio is set like this; one that starts where another does
    /// takes its place, so that one at sample 0 replaces the header's.
    pub fn capture(&mut self, capture: Capture) {
        self.captures.retain(|c| c.sample_start != capture.sample_start);
        self.captures.push(capture);
    }

    /// Adds an annotation.
    pub fn annotate(&mut self, annotation: Annotation) {
        self.annotations.push(annotation);
    }

    /// Ends the recording and returns the name of its metadata file.
    ///
    /// # Errors
    /// If a file cannot be written or renamed.
    pub fn finish(self) -> Result<PathBuf, IqError> {
        let Self { meta_path, data_path, part, data, hash, header, captures, annotations } = self;
        let failed = |source| IqError::Write { path: data_path.clone(), source };
        let file = data.into_inner().map_err(|e| failed(e.into_error()))?;
        file.sync_all().map_err(failed)?;
        // Never old metadata beside new samples.
        match std::fs::remove_file(&meta_path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failed(e)),
            _ => {}
        }
        std::fs::rename(&part, &data_path).map_err(failed)?;
        write_meta(&meta_path, &sigmf_meta_json(&header, &captures, &annotations, Some(hex(hash))))
    }
}

fn hex(hash: Sha512) -> String {
    let mut hex = String::with_capacity(128);
    for byte in hash.finalize() {
        write!(hex, "{byte:02x}").expect("invariant: a String takes any text");
    }
    hex
}

/// Whether a recording's samples are those for which its metadata were written; `None` where the metadata have no hash.
///
/// Reads the whole file: `progress` is told how many of its bytes are read.
///
/// # Errors
/// If the file cannot be read.
pub fn sha512_fits(recording: &Recording, progress: &mut dyn FnMut(u64)) -> Result<Option<bool>, IqError> {
    let Some(want) = &recording.info.sha512 else { return Ok(None) };
    let path = recording.data_path();
    let (mut file, _) = open_file(path)?;
    let (mut hash, mut buffer, mut offset) = (Sha512::new(), vec![0; 1 << 20], 0);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(Some(hex(hash).eq_ignore_ascii_case(want.trim()))),
            Ok(n) => {
                hash.update(&buffer[..n]);
                offset += n as u64;
                progress(offset);
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(source) => return Err(IqError::Read { path: path.to_owned(), offset, source }),
        }
    }
}
