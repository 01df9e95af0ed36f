//! Formats are told apart by content, and what is wrong is named with its place.

use super::*;

const BLOCKS: &str = "version,time,op,size,lbn\n1,10,2a,512,7\n1,11,28,512,9\n1,12,28,512,7\n";

const OBJECTS: [u8; 16] = [
    0xf0, 0, 0, 1, // type 30, id 0, index 1
    0x88, 0, 2, 0, // type 17, id 1, index 0
    0xf0, 0, 0, 1, // the first again
    0, 0, 0, 3, // type 0, id 0, index 3
];

/// `BLOCKS`, packed with `xz`.
#[rustfmt::skip]
const BLOCKS_XZ: [u8; 116] = [
    0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x04, 0xe6, 0xd6, 0xb4, 0x46,
    0x02, 0x00, 0x21, 0x01, 0x16, 0x00, 0x00, 0x00, 0x74, 0x2f, 0xe5, 0xa3,
    0xe0, 0x00, 0x42, 0x00, 0x36, 0x5d, 0x00, 0x3b, 0x19, 0x4a, 0xac, 0x0b,
    0xd2, 0xbe, 0x58, 0x98, 0xf1, 0xe4, 0x44, 0xce, 0x77, 0x5f, 0x61, 0x87,
    0xf4, 0x68, 0x1c, 0x4e, 0xa0, 0xdf, 0xd4, 0xf7, 0x2c, 0x70, 0x37, 0xc8,
    0x00, 0x8c, 0x52, 0xbe, 0xe1, 0x63, 0x31, 0x87, 0xce, 0xef, 0xa5, 0x80,
    0x44, 0x6c, 0xbd, 0xd7, 0x08, 0x94, 0xc1, 0x23, 0x95, 0x81, 0x03, 0xe0,
    0x56, 0x00, 0x00, 0x00, 0xa1, 0xa9, 0xba, 0x60, 0x12, 0x9c, 0x72, 0x79,
    0x00, 0x01, 0x52, 0x43, 0xd7, 0x9a, 0xde, 0x47, 0x1f, 0xb6, 0xf3, 0x7d,
    0x01, 0x00, 0x00, 0x00, 0x00, 0x04, 0x59, 0x5a,
];

/// `OBJECTS`, packed with `xz`.
#[rustfmt::skip]
const OBJECTS_XZ: [u8; 72] = [
    0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x04, 0xe6, 0xd6, 0xb4, 0x46,
    0x02, 0x00, 0x21, 0x01, 0x16, 0x00, 0x00, 0x00, 0x74, 0x2f, 0xe5, 0xa3,
    0x01, 0x00, 0x0f, 0xf0, 0x00, 0x00, 0x01, 0x88, 0x00, 0x02, 0x00, 0xf0,
    0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x03, 0x00, 0xaf, 0x45, 0x3f, 0xf2,
    0x0b, 0x9d, 0xdf, 0xca, 0x00, 0x01, 0x28, 0x10, 0xe5, 0x0b, 0x6c, 0x60,
    0x1f, 0xb6, 0xf3, 0x7d, 0x01, 0x00, 0x00, 0x00, 0x00, 0x04, 0x59, 0x5a,
];

fn parse(bytes: &[u8]) -> Result<Trace, String> {
    Trace::parse(Path::new("some/file"), bytes).map_err(|error| error.to_string())
}

fn refusal(bytes: &[u8]) -> String {
    let error = parse(bytes).unwrap_err();
    assert!(!error.contains('\n'), "{error}");
    error
}

fn blocks() -> Trace {
    let key = |id| Key { tenant: 0, id };
    let keys = vec![key(7), key(9)];
    Trace { keys, references: vec![0, 1, 0], writes: 1, format: Format::Blocks }
}

fn objects() -> Trace {
    let key = |tenant, id| Key { tenant, id };
    let keys = vec![key(30, 1), key(17, 512), key(0, 3)];
    Trace { keys, references: vec![0, 1, 0, 2], writes: 0, format: Format::Objects }
}

#[test]
fn each_format_is_recognised_plain_and_packed() {
    assert_eq!(parse(BLOCKS.as_bytes()), Ok(blocks()));
    assert_eq!(parse(&OBJECTS), Ok(objects()));
    assert_eq!(parse(&BLOCKS_XZ), Ok(blocks()));
    assert_eq!(parse(&OBJECTS_XZ), Ok(objects()));
}

#[test]
fn other_line_ends_a_mark_and_a_missing_last_line_end_are_no_matter() {
    assert_eq!(parse(BLOCKS.replace('\n', "\r\n").as_bytes()), Ok(blocks()));
    assert_eq!(parse(BLOCKS.trim_end().as_bytes()), Ok(blocks()));
    assert_eq!(parse(format!("\u{feff}{BLOCKS}").as_bytes()), Ok(blocks()));
}

#[test]
fn several_packed_streams_in_a_row_are_one() {
    let mut twice = OBJECTS_XZ.to_vec();
    twice.extend(OBJECTS_XZ);
    assert_eq!(parse(&twice).unwrap().references, [0, 1, 0, 2, 0, 1, 0, 2]);
}

#[test]
fn a_long_trace_is_read_across_chunks() {
    let mut bytes = Vec::new();
    for i in 0..100_000_u32 {
        bytes.extend((i % 1000).to_be_bytes());
    }
    let trace = parse(&bytes).unwrap();
    assert_eq!((trace.keys.len(), trace.references.len()), (1000, 100_000));
    assert!((0_u32..).zip(&trace.references).all(|(i, row)| i % 1000 == *row));
    bytes.pop();
    assert!(refusal(&bytes).contains("399999 bytes"));
}

#[test]
fn packed_data_that_is_cut_short_or_changed_is_refused() {
    // Shorter than the magic number it is another file: binary, or not a multiple of four.
    for len in 6..BLOCKS_XZ.len() {
        let error = refusal(&BLOCKS_XZ[..len]);
        assert!(error.starts_with("trace: some/file: the xz data is "), "{len}: {error}");
    }
    for at in 6..BLOCKS_XZ.len() {
        let mut changed = BLOCKS_XZ;
        changed[at] ^= 0x20;
        let error = refusal(&changed);
        assert!(error.starts_with("trace: some/file: the xz data is "), "{at}: {error}");
    }
    let mut longer = BLOCKS_XZ.to_vec();
    longer.extend(b"more");
    assert!(refusal(&longer).contains("the xz data is "));
}

#[test]
fn a_malformed_line_is_named_by_its_number() {
    let with = |line: &str| refusal(format!("{BLOCKS}{line}\n1,13,28,512,7\n").as_bytes());
    for (line, why) in [
        ("1,10,2a,512", "five fields"),
        ("1,10,2a,512,7,8", "five fields"),
        ("", "five fields"),
        ("version,time,op,size,lbn", "version is no number: `version`"),
        ("1,10,2b,512,7", "op is neither 28 (read) nor 2a (write): `2b`"),
        ("1,10,28,512,-7", "lbn is no number: `-7`"),
        ("1,10,28,512,99999999999999999999", "lbn is no number"),
        ("1,1\u{1b}[2J,28,512,7", "time is no number: `1\\u{1b}[2J`"),
    ] {
        let error = with(line);
        assert!(error.starts_with("trace: some/file:5: "), "{error}");
        assert!(error.contains(why), "{error}");
    }
    let error = with(&"1,".repeat(5000));
    assert!(error.contains(":5: is longer than 1024 bytes"), "{error}");
    let mut bytes = BLOCKS.as_bytes().to_vec();
    bytes.extend(b"1,10,28,512,\xff\n");
    assert!(refusal(&bytes).contains(":5: is not UTF-8"));
}

#[test]
fn what_is_no_trace_is_said_to_be_none() {
    assert_eq!(refusal(b""), "trace: some/file: is empty");
    assert!(refusal(b"dear diary, it is raining").contains(":1: a text, but `version,time"));
    assert!(refusal("Grüße aus Köln, Ελλάδα".as_bytes()).contains(":1: a text"));
    assert!(refusal(&[&b"dear diary ".repeat(20)[..], b"\0\0"].concat()).contains(":1: a text"));
    assert!(refusal(b"Gr\xfc\xdfe").contains(":1: is not UTF-8"));
    assert!(refusal(b"time,op,lbn\n1,28,7\n").contains(":1: a text"));
    assert!(refusal(b"\xff\xfeh\0i\0").contains("UTF-16"));
    assert!(refusal(b"\x1f\x8b\x08\0\0\0\0\0").contains("gzip"));
    assert!(refusal(b"version,time,op,size,lbn\n").contains("no request"));
    assert!(refusal(&OBJECTS[..15]).contains("15 bytes are not a whole number of 32-bit words"));
    assert!(refusal(&[0]).contains("1 bytes"));
}

#[test]
fn a_file_that_is_not_there_and_a_folder_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let bar = ProgressBar::hidden();
    let missing = folder.path().join("missing");
    let error = Trace::read(&missing, &bar).unwrap_err().to_string();
    assert!(error.starts_with(&format!("trace: {}: ", missing.display())), "{error}");
    let error = Trace::read(folder.path(), &bar).unwrap_err().to_string();
    assert_eq!(error, format!("trace: {}: is a folder", folder.path().display()));
}
