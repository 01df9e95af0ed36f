//! A file that can be written to without being changed: the writes stay in memory.
//!
//! `redb` writes when it opens a database, and repairs one that was not closed. Through an overlay it
//! may do so on a file of which we do not know yet whose it is.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

const PAGE: u64 = 4096;

/// A copy-on-write view of a file that is open for reading.
#[derive(Debug)]
pub(super) struct Overlay {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: File,
    /// Pages that were written to, by their number.
    written: BTreeMap<u64, Box<[u8]>>,
    /// How long the view is.
    len: u64,
    /// How much of the file still shows; beyond are written pages and zeros.
    shown: u64,
}

impl Overlay {
    pub(super) fn new(file: File) -> io::Result<Overlay> {
        let len = file.metadata()?.len();
        let state = State { file, written: BTreeMap::new(), len, shown: len };
        Ok(Overlay { state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A page as it is seen now.
    fn page(&mut self, number: u64) -> io::Result<Box<[u8]>> {
        if let Some(page) = self.written.get(&number) {
            return Ok(page.clone());
        }
        let mut page = vec![0; PAGE as usize].into_boxed_slice();
        let start = number * PAGE;
        let shown = self.shown.saturating_sub(start).min(PAGE) as usize;
        self.file.seek(SeekFrom::Start(start))?;
        self.file.read_exact(&mut page[..shown])?;
        Ok(page)
    }

    /// Calls `f` with each page that the range touches, the range's part of it, and where that part
    /// lies in the range.
    fn for_pages(
        &mut self,
        offset: u64,
        len: usize,
        mut f: impl FnMut(&mut State, u64, std::ops::Range<usize>, usize) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut done = 0;
        while done < len {
            let at = offset + done as u64;
            let within = (at % PAGE) as usize;
            let part = (PAGE as usize - within).min(len - done);
            f(self, at / PAGE, within..within + part, done)?;
            done += part;
        }
        Ok(())
    }
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.state();
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > state.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        state.for_pages(offset, out.len(), |state, number, part, done| {
            let page = state.page(number)?;
            out[done..done + part.len()].copy_from_slice(&page[part]);
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state();
        if len < state.len {
            state.shown = state.shown.min(len);
            state.written.split_off(&len.div_ceil(PAGE));
            // What was cut off must read as zeros if the view grows again.
            if let Some(last) = state.written.get_mut(&(len / PAGE)) {
                last[(len % PAGE) as usize..].fill(0);
            }
        }
        state.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        state.for_pages(offset, data.len(), |state, number, part, done| {
            let mut page = state.page(number)?;
            page[part.clone()].copy_from_slice(&data[done..done + part.len()]);
            state.written.insert(number, page);
            Ok(())
        })?;
        state.len = state.len.max(offset + data.len() as u64);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn writes_are_seen_and_the_file_is_not_changed() -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new()?;
        let bytes: Vec<u8> = (0..10_000_u32).map(|i| i as u8).collect();
        file.write_all(&bytes)?;
        let overlay = Overlay::new(file.reopen()?)?;
        let mut model = bytes.clone();

        let look = |model: &[u8]| -> io::Result<()> {
            let mut seen = vec![0; model.len()];
            overlay.read(0, &mut seen)?;
            assert!(seen == model);
            assert_eq!(overlay.len()?, model.len() as u64);
            assert!(overlay.read(model.len() as u64 - 1, &mut [0; 2]).is_err());
            Ok(())
        };
        look(&model)?;
        // Over the edge of a page; at the end; shorter; and longer again.
        overlay.write(4090, &[7; 5000])?;
        model[4090..9090].fill(7);
        look(&model)?;
        overlay.set_len(20_000)?;
        model.resize(20_000, 0);
        overlay.write(19_990, &[9; 10])?;
        model[19_990..].fill(9);
        look(&model)?;
        for len in [9000, 4096, 100] {
            overlay.set_len(len)?;
            overlay.set_len(15_000)?;
            model.truncate(len as usize);
            model.resize(15_000, 0);
            look(&model)?;
        }
        assert!(std::fs::read(file.path())? == bytes);
        Ok(())
    }
}
