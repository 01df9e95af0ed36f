//! A row: which one it is, its version, its payload, and a checksum over all of them.
//!
//! The checksum makes a torn row (half of one version, half of another) recognisable, whoever tore
//! it: the database, the cache, or the memory under it.

use std::fmt;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};

/// How long a row's payload is.
pub const PAYLOAD_BYTES: usize = 100;

/// How long an encoded row is: tenant, id, version, payload, checksum.
pub const ROW_BYTES: usize = 4 + 8 + 8 + PAYLOAD_BYTES + 4;

/// Names a row: whose it is, and which of theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Whose row it is.
    pub tenant: u32,
    /// Which of the tenant's rows it is.
    pub id: u64,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tenant {} row {}", self.tenant, self.id)
    }
}

/// One version of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Which row this is.
    pub key: Key,
    /// 1 when the row is created, one more with each update.
    pub version: u64,
    /// What the row holds.
    pub payload: [u8; PAYLOAD_BYTES],
    /// CRC-32 over everything above.
    pub checksum: u32,
}

impl Row {
    /// The given version of a row, with a payload of its own.
    pub fn new(key: Key, version: u64) -> Row {
        let seed = key.id ^ u64::from(key.tenant).rotate_left(40) ^ version.rotate_left(20);
        let mut payload = [0; PAYLOAD_BYTES];
        Xoshiro256PlusPlus::seed_from_u64(seed).fill_bytes(&mut payload);
        let checksum = checksum(key, version, &payload);
        Row { key, version, payload, checksum }
    }

    /// The version that follows this one.
    pub fn next(&self) -> Row {
        Row::new(self.key, self.version + 1)
    }

    /// Whether the row is all of one piece.
    pub fn is_whole(&self) -> bool {
        self.checksum == checksum(self.key, self.version, &self.payload)
    }

    /// The row as the database stores it.
    pub fn encode(&self) -> [u8; ROW_BYTES] {
        let mut bytes = [0; ROW_BYTES];
        bytes[..4].copy_from_slice(&self.key.tenant.to_le_bytes());
        bytes[4..12].copy_from_slice(&self.key.id.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.version.to_le_bytes());
        bytes[20..20 + PAYLOAD_BYTES].copy_from_slice(&self.payload);
        bytes[20 + PAYLOAD_BYTES..].copy_from_slice(&self.checksum.to_le_bytes());
        bytes
    }

    /// The row from what the database stored; nothing where the length is not a row's.
    ///
    /// The checksum is taken as it stands: see [`Row::is_whole`].
    pub fn decode(bytes: &[u8]) -> Option<Row> {
        let bytes: &[u8; ROW_BYTES] = bytes.try_into().ok()?;
        let (tenant, rest) = bytes.split_first_chunk()?;
        let (id, rest) = rest.split_first_chunk()?;
        let (version, rest) = rest.split_first_chunk()?;
        let (payload, rest) = rest.split_first_chunk()?;
        let (checksum, _) = rest.split_first_chunk()?;
        Some(Row {
            key: Key { tenant: u32::from_le_bytes(*tenant), id: u64::from_le_bytes(*id) },
            version: u64::from_le_bytes(*version),
            payload: *payload,
            checksum: u32::from_le_bytes(*checksum),
        })
    }
}

fn checksum(key: Key, version: u64, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&key.tenant.to_le_bytes());
    hasher.update(&key.id.to_le_bytes());
    hasher.update(&version.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key { tenant: 3, id: 17 };

    #[test]
    fn a_row_comes_back_from_its_bytes() {
        let row = Row::new(KEY, 5);
        assert!(row.is_whole());
        assert_eq!(Row::decode(&row.encode()), Some(row));
        assert_eq!(Row::decode(&[0; ROW_BYTES - 1]), None);
        assert_eq!(Row::decode(&[0; ROW_BYTES + 1]), None);
    }

    #[test]
    fn every_changed_byte_shows() {
        let bytes = Row::new(KEY, 5).encode();
        for at in 0..ROW_BYTES {
            let mut changed = bytes;
            changed[at] ^= 0x10;
            assert!(!Row::decode(&changed).unwrap().is_whole(), "byte {at}");
        }
    }

    #[test]
    fn versions_differ_in_their_payload() {
        let row = Row::new(KEY, 5);
        assert_eq!(row.next().version, 6);
        assert_ne!(row.next().payload, row.payload);
        assert_ne!(Row::new(Key { tenant: 4, id: 17 }, 5).payload, row.payload);
    }
}
