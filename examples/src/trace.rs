//! Real traces: which rows somebody's application asked for, one after the other.
//!
//! Two formats, told apart by what is in the file and not by its name; either may be packed with
//! `xz`.
//!
//! | format | recognised by | a reference | its row |
//! | --- | --- | --- | --- |
//! | block I/O | text | a line `version,time,op,size,lbn` after a line of just that; `op` is `28` (read) or `2a` (write) | tenant 0, row `lbn` |
//! | object accesses | not text | 32 bits, big-endian: type in bits 27-31, id in 9-26, index in 0-8 | tenant type, row (id, index) |
//!
//! The second has no header, and any four bytes are a reference. What can be said is what it is not:
//! empty, text, a few well-known formats, or a length that four does not divide.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

use indicatif::{HumanCount, ProgressBar};
use lzma_rust2::XzReader;

use crate::error::Error;
use crate::row::Key;

/// What was asked for, in order.
#[derive(Debug, PartialEq, Eq)]
pub struct Trace {
    /// Each row that is asked for, once, in the order of the first request.
    pub keys: Vec<Key>,
    /// The requests, as places in `keys`.
    pub references: Vec<u32>,
    /// How many of the requests were writes, where the format says.
    pub writes: u64,
    /// What the file turned out to be.
    pub format: Format,
}

/// The formats of traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Block I/O as CSV.
    Blocks,
    /// Object accesses in 32-bit words.
    Objects,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (requests, rows) = (self.references.len() as u64, self.keys.len() as u64);
        let (requests, rows) = (HumanCount(requests), HumanCount(rows));
        match self.format {
            Format::Objects => write!(f, "{requests} object accesses to {rows} rows"),
            Format::Blocks => {
                let writes = HumanCount(self.writes);
                write!(f, "{requests} block requests ({writes} writes, replayed as reads) ")?;
                write!(f, "to {rows} rows")
            }
        }
    }
}

/// What the error lines call us.
const WHAT: &str = "trace";

/// The first line of block I/O.
const HEADER: &str = "version,time,op,size,lbn";

/// How much of a file decides what it is.
const HEAD_BYTES: u64 = 64 * 1024;

/// More than any line of block I/O needs.
const MAX_LINE_BYTES: u64 = 1024;

/// How much is read at once; a multiple of four.
const CHUNK_BYTES: u64 = 64 * 1024;

/// More than any `xz` of a sensible size needs to unpack.
const XZ_MEMORY_KIB: u32 = 1024 * 1024;

/// How files begin that are certainly not a trace.
const OTHERS: &[(&[u8], &str)] = &[
    (b"\x1f\x8b", "gzip data"),
    (b"\x28\xb5\x2f\xfd", "zstd data"),
    (b"BZh", "bzip2 data"),
    (b"\x04\x22\x4d\x18", "lz4 data"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x7fELF", "a program"),
    (b"redb\x1a\x0a", "a redb database"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
];

impl Trace {
    /// Reads a trace to its end; the bar counts the bytes of the file.
    ///
    /// # Errors
    ///
    /// If the file is not there, cannot be read or unpacked, or is no trace; the error names the
    /// line where there are lines.
    pub fn read(path: &Path, progress: &ProgressBar) -> Result<Trace, Error> {
        let file = File::open(path).map_err(|why| unreadable(path, &why))?;
        let about = file.metadata().map_err(|why| unreadable(path, &why))?;
        if about.is_dir() {
            return Err(Error::in_file(WHAT, path, "is a folder"));
        }
        progress.set_length(about.len());
        Trace::parse(path, BufReader::new(progress.wrap_read(file)))
    }

    /// Reads a trace from any reader; errors name `path`.
    fn parse(path: &Path, mut packed: impl BufRead) -> Result<Trace, Error> {
        let magic = head_of(path, &mut packed, 6)?;
        let packed = Cursor::new(magic.clone()).chain(packed);
        if magic == *b"\xfd7zXZ\0" {
            let unpacked = XzReader::new_mem_limit(packed, true, XZ_MEMORY_KIB);
            parse_unpacked(path, BufReader::with_capacity(1 << 16, Unpacked(unpacked)))
        } else {
            parse_unpacked(path, packed)
        }
    }

    fn empty(format: Format) -> Trace {
        Trace { keys: Vec::new(), references: Vec::new(), writes: 0, format }
    }
}

fn parse_unpacked(path: &Path, mut reader: impl BufRead) -> Result<Trace, Error> {
    let head = head_of(path, &mut reader, HEAD_BYTES)?;
    if head.is_empty() {
        return Err(Error::in_file(WHAT, path, "is empty"));
    }
    if let Some((_, what)) = OTHERS.iter().find(|(magic, _)| head.starts_with(magic)) {
        let why = format!("is {what}, not a trace (plain or packed with xz)");
        return Err(Error::in_file(WHAT, path, why));
    }
    let text = is_text(&head);
    let reader = Cursor::new(head).chain(reader);
    if text { parse_blocks(path, reader) } else { parse_objects(path, reader) }
}

/// Up to `len` bytes off the reader's front.
fn head_of(path: &Path, reader: &mut impl Read, len: u64) -> Result<Vec<u8>, Error> {
    let mut head = Vec::new();
    reader.take(len).read_to_end(&mut head).map_err(|why| unreadable(path, &why))?;
    Ok(head)
}

/// Whether this is text, in whatever alphabet: next to no control characters but those of texts.
///
/// Of random bytes every ninth is one, of the words of real traces every second; a text with a few
/// stray ones is still a text, and a malformed one.
fn is_text(head: &[u8]) -> bool {
    let control = |byte: &&u8| **byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c);
    head.starts_with(HEADER.as_bytes()) || head.iter().filter(control).count() * 50 < head.len()
}

/// Lines of `version,time,op,size,lbn`.
fn parse_blocks(path: &Path, mut reader: impl BufRead) -> Result<Trace, Error> {
    let mut trace = Trace::empty(Format::Blocks);
    let mut places = Places::default();
    let mut line = Vec::new();
    for number in 1.. {
        let malformed = |why: String| Error::at_line(WHAT, path, number, why);
        line.clear();
        (&mut reader)
            .take(MAX_LINE_BYTES)
            .read_until(b'\n', &mut line)
            .map_err(|why| unreadable(path, &why))?;
        if line.is_empty() {
            break;
        }
        if line.len() as u64 == MAX_LINE_BYTES && !line.ends_with(b"\n") {
            return Err(malformed(format!("is longer than {MAX_LINE_BYTES} bytes")));
        }
        let text = str::from_utf8(&line).map_err(|_| malformed("is not UTF-8".to_owned()))?;
        let text = text.trim_end_matches(['\n', '\r']);
        if number == 1 {
            if text.trim_start_matches('\u{feff}') != HEADER {
                let found = excerpt(text);
                return Err(malformed(format!("a text, but `{HEADER}` was expected, not {found}")));
            }
            continue;
        }
        let (write, lbn) = block_request(text).map_err(malformed)?;
        trace.writes += u64::from(write);
        trace.references.push(places.of(Key { tenant: 0, id: lbn }, &mut trace.keys));
    }
    if trace.references.is_empty() {
        return Err(Error::in_file(WHAT, path, "has a header, but no request"));
    }
    Ok(trace)
}

/// Whether a request writes, and which block it is for.
fn block_request(line: &str) -> Result<(bool, u64), String> {
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    let [version, time, op, size, lbn] = fields[..] else {
        let found = fields.len();
        return Err(format!(
            "five fields `{HEADER}` were expected, not {found}: {}",
            excerpt(line)
        ));
    };
    let number = |name: &str, field: &str| {
        field.parse::<u64>().map_err(|_| format!("{name} is no number: {}", excerpt(field)))
    };
    number("version", version)?;
    number("time", time)?;
    number("size", size)?;
    let write = match op {
        "2a" | "2A" => true,
        "28" => false,
        _ => return Err(format!("op is neither 28 (read) nor 2a (write): {}", excerpt(op))),
    };
    Ok((write, number("lbn", lbn)?))
}

/// Big-endian words of type, id and index.
fn parse_objects(path: &Path, mut reader: impl BufRead) -> Result<Trace, Error> {
    let mut trace = Trace::empty(Format::Objects);
    let mut places = Places::default();
    let mut chunk = Vec::new();
    loop {
        chunk.clear();
        let full = (&mut reader)
            .take(CHUNK_BYTES)
            .read_to_end(&mut chunk)
            .map_err(|why| unreadable(path, &why))?;
        let (words, rest) = chunk.as_chunks();
        for word in words {
            let word = u32::from_be_bytes(*word);
            let key = Key { tenant: word >> 27, id: u64::from(word & 0x07ff_ffff) };
            trace.references.push(places.of(key, &mut trace.keys));
        }
        // Only the last chunk is not full.
        if !rest.is_empty() {
            let bytes = trace.references.len() * 4 + rest.len();
            let why = format!("{bytes} bytes are not a whole number of 32-bit words");
            return Err(Error::in_file(WHAT, path, why));
        }
        if (full as u64) < CHUNK_BYTES {
            break;
        }
    }
    Ok(trace)
}

/// Where each key stands in the list of keys.
#[derive(Default)]
struct Places(HashMap<Key, u32, foldhash::fast::FixedState>);

impl Places {
    fn of(&mut self, key: Key, keys: &mut Vec<Key>) -> u32 {
        *self.0.entry(key).or_insert_with(|| {
            keys.push(key);
            // More would not fit into memory.
            u32::try_from(keys.len() - 1).expect("fewer than 2^32 rows")
        })
    }
}

/// A line for an error message: short, and nothing a terminal would obey.
fn excerpt(text: &str) -> String {
    let mut shown: String = text.chars().take(40).flat_map(char::escape_debug).collect();
    if text.chars().nth(40).is_some() {
        shown.push_str("...");
    }
    format!("`{shown}`")
}

fn unreadable(path: &Path, why: &io::Error) -> Error {
    let text = why.to_string();
    Error::in_file(WHAT, path, text.split(" (os error").next().unwrap_or(&text))
}

/// Says of an error in packed data that it is one.
struct Unpacked<R>(R);

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|why| match why.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::other("the xz data is cut short"),
            _ => io::Error::other(format!("the xz data is damaged: {why}")),
        })
    }
}

#[cfg(test)]
mod tests;
