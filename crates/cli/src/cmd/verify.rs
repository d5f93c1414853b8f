//! `cellwarden verify`: is this evidence as the box wrote it, is it all there, and does it give its hit?

use crate::args::{VerdictFormat, VerifyArgs};
use crate::failure::Failure;
use cellwarden_evidence::{
    ChainVerified, Check, Hash, Outcome, PublicKey, ReadIn, SHEET_EXTENSION, SheetVerified, Verified,
};
use cellwarden_evidence::{verify, verify_chain, verify_sheet};
use cellwarden_report::plain;
use cellwarden_types::Hit;
use serde::Serialize;
use std::io::{self, Write};

/// Everything that was checked in a run.
#[derive(Serialize)]
struct Verdict {
    fits: bool,
    software: &'static str,
    files: Vec<Verified>,
    sheets: Vec<SheetVerified>,
    chain: Option<ChainVerified>,
}

/// Checks files and folders; what does not fit ends with status 1, after everything was said.
pub fn run(args: &VerifyArgs) -> Result<(), Failure> {
    if args.read_apart {
        let [file] = args.files.as_slice() else {
            return Err(Failure::Usage("--read-apart takes one file".to_owned()));
        };
        return Ok(cellwarden_evidence::serve(file, io::stdout().lock())?);
    }
    let key = args.key.as_deref().map(PublicKey::from_text_or_file).transpose().map_err(Failure::usage)?;
    let parse = |text: &String| {
        Hash::parse(&text.to_ascii_lowercase())
            .ok_or_else(|| Failure::Usage(format!("--head {text:?} is no SHA-256: 64 hexadecimal digits")))
    };
    let mut heads = args.head.iter().map(parse).collect::<Result<Vec<Hash>, Failure>>()?;
    let apart = ReadIn::this_program(&["verify", "--read-apart", "--"]).map_err(Failure::run)?;
    let (mut files, mut sheets) = (Vec::new(), Vec::new());
    for path in &args.files {
        if path.extension().is_some_and(|e| e == SHEET_EXTENSION) {
            sheets.push(verify_sheet(path, key.as_ref()).map_err(Failure::run)?);
            continue;
        }
        let verified = verify(path, key.as_ref(), &apart).map_err(Failure::run)?;
        heads.extend(verified.head.filter(|_| verified.fits()));
        files.push(verified);
    }
    let chain = args.chain.as_ref().map(|dir| verify_chain(dir, key.as_ref(), &heads, &apart)).transpose();
    let chain = chain.map_err(Failure::run)?;
    let fits = files.iter().all(Verified::fits) && sheets.iter().all(SheetVerified::fits);
    let fits = fits && chain.as_ref().is_none_or(ChainVerified::fits);
    let verdict = Verdict { fits, software: concat!("cellwarden ", env!("CARGO_PKG_VERSION")), files, sheets, chain };
    let mut out = io::stdout().lock();
    match args.format {
        VerdictFormat::Json => {
            serde_json::to_writer_pretty(&mut out, &verdict).map_err(io::Error::from)?;
            writeln!(out)?;
        }
        VerdictFormat::Table => print(&mut out, &verdict, key.as_ref())?,
    }
    out.flush()?;
    if fits { Ok(()) } else { Err(Failure::Run("the evidence does not fit: see above".to_owned())) }
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Fits => "fits",
        Outcome::DoesNotFit => "DOES NOT FIT",
        Outcome::NotChecked => "note",
    }
}

fn print_checks(out: &mut impl Write, checks: &[Check]) -> io::Result<()> {
    for check in checks {
        writeln!(out, "  {:<12}  {}: {}", word(check.outcome), plain(&check.part), plain(&check.said))?;
    }
    Ok(())
}

fn print_hit(out: &mut impl Write, hit: &Hit) -> io::Result<()> {
    let time = hit.time_start.map_or_else(|| format!("{} s", hit.start_s), |t| t.to_string());
    let line = format!(
        "{} {} in {} from {time}, {:.3} s, {} bursts, confidence {}",
        hit.standard.name(),
        hit.activity.name(),
        hit.block,
        hit.end_s - hit.start_s,
        hit.bursts,
        hit.confidence
    );
    writeln!(out, "  {:<12}  {}", "says", plain(&line))
}

fn print_file(out: &mut impl Write, file: &Verified) -> io::Result<()> {
    writeln!(out, "{}", plain(&file.path.display().to_string()))?;
    if let Some(hit) = &file.hit {
        print_hit(out, hit)?;
    }
    if let Some(seal) = &file.seal {
        writeln!(out, "  {:<12}  number {}, written {} by the box's clock", "says", seal.sequence, seal.written)?;
    }
    print_checks(out, &file.checks)?;
    let verdict = if file.fits() { "this file fits" } else { "THIS FILE DOES NOT FIT: do not rely on it" };
    writeln!(out, "  => {verdict}\n")
}

fn print_sheet(out: &mut impl Write, file: &SheetVerified) -> io::Result<()> {
    writeln!(out, "{}", plain(&file.path.display().to_string()))?;
    if let Some(sheet) = &file.sheet {
        crate::accept::text::lines(sheet)
            .lines()
            .try_for_each(|line| writeln!(out, "  {:<12}  {}", "says", plain(line)))?;
    }
    print_checks(out, &file.checks)?;
    let verdict = if file.fits() { "this sheet fits" } else { "THIS SHEET DOES NOT FIT: do not rely on it" };
    writeln!(out, "  => {verdict}\n")
}

fn print(out: &mut impl Write, verdict: &Verdict, key: Option<&PublicKey>) -> io::Result<()> {
    for sheet in &verdict.sheets {
        print_sheet(out, sheet)?;
    }
    for file in &verdict.files {
        print_file(out, file)?;
    }
    if let Some(chain) = &verdict.chain {
        for file in &chain.files {
            print_file(out, file)?;
        }
        writeln!(out, "{}", plain(&chain.dir.display().to_string()))?;
        print_checks(out, &chain.checks)?;
        let there = chain.files.len();
        writeln!(
            out,
            "  => {} files were written, {there} are here, {} were deleted by the box's rules; head {}\n",
            chain.written, chain.deleted, chain.head
        )?;
    }
    if !verdict.fits {
        return writeln!(
            out,
            "Something does not fit. It was changed, damaged, taken away or added after the box signed it, or it was never \
             the box's. The lines above say which part; what fits beside it is still as it was signed."
        );
    }
    writeln!(out, "What this means")?;
    writeln!(
        out,
        "- Nothing in these files was changed since they were signed, by as much as one bit of their content."
    )?;
    match key {
        Some(key) => writeln!(
            out,
            "- They were signed with the key {}. That it is the box's key has to be known from elsewhere.",
            key.name()
        )?,
        None => writeln!(out, "- Who signed them is NOT shown: give the box's public key with --key.")?,
    }
    if verdict.files.is_empty() && verdict.chain.is_none() {
        return writeln!(
            out,
            "- Not that the box's clock was right, nor that it was the authorised phone that was heard."
        );
    }
    let tried = |f: &&Verified| f.remade.as_ref().is_some_and(cellwarden_evidence::Remade::fits);
    let all = || verdict.files.iter().chain(verdict.chain.iter().flat_map(|c| &c.files));
    let (remade, files) = (all().filter(tried).count(), all().count());
    writeln!(out, "- Of {files} hits, {remade} were made again here from the burst records, and are the same.")?;
    match &verdict.chain {
        Some(_) => writeln!(
            out,
            "- The box's files are all here or were deleted by its rules. Files cut off at the end of the chain show only \
             by a head that was noted elsewhere (--head)."
        )?,
        None => writeln!(out, "- Whether other files of the box are missing was not checked: that takes --chain.")?,
    }
    writeln!(out, "What it does not prove")?;
    writeln!(out, "- That the box's clock was right, or that nobody else could use its key or its antennas.")?;
    writeln!(out, "- Who held a phone, or whose it is: there is no identity in these files.")?;
    writeln!(out, "- That there was a phone. A hit is a probability, which `confidence` and its evidence give.")
}
