//! Looks for what a process should have forgotten, in its memory. Linux only: it reads `/proc/PID/mem`.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Result;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// Bytes of a mark: so many that none turns up by chance.
const LENGTH: usize = 16;

/// What is read at a time.
const CHUNK: usize = 1 << 20;

const PAGE: usize = 4096;

/// Byte strings to look for. They are kept inverted, so that they are not what is found.
pub struct Marks {
    inverted: HashSet<[u8; LENGTH]>,
    /// By two bytes, inverted: whether a mark begins with them.
    begins: Vec<bool>,
}

impl Marks {
    /// All that `bytes` are made of, cut every 16 bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let inverted: HashSet<[u8; LENGTH]> = bytes.as_chunks().0.iter().map(invert).collect();
        let mut begins = vec![false; 1 << 16];
        inverted.iter().for_each(|mark| begins[begin(mark)] = true);
        Self { inverted, begins }
    }

    /// How many stand in what the process `id` may write to.
    ///
    /// # Errors
    /// As [`Marks::find`].
    pub fn count(&self, id: u32) -> Result<usize> {
        Ok(self.find(id)?.iter().map(|(_, found)| found).sum())
    }

    /// The mappings that some stand in, as the kernel describes them, with their number. A place that is not mapped any more holds none.
    ///
    /// # Errors
    /// Those of reading the process's memory.
    pub fn find(&self, id: u32) -> Result<Vec<(String, usize)>> {
        let memory = File::open(format!("/proc/{id}/mem"))?;
        let mut buffer = vec![0; CHUNK + PAGE];
        // This buffer holds what was read last, and is read itself where the process is this one.
        let own = buffer.as_ptr() as usize..buffer.as_ptr() as usize + buffer.len();
        let skipped = if id == std::process::id() { own } else { 0..0 };
        let mut found = Vec::new();
        for line in fs::read_to_string(format!("/proc/{id}/maps"))?.lines() {
            let Some(Range { start, end }) = writable(line) else { continue };
            let pieces = [start..skipped.start.clamp(start, end), skipped.end.clamp(start, end)..end];
            match pieces.into_iter().map(|piece| self.count_in(&memory, piece, &mut buffer)).sum() {
                0 => {}
                some => found.push((line.to_owned(), some)),
            }
        }
        Ok(found)
    }

    fn count_in(&self, memory: &File, Range { start, end }: Range<usize>, buffer: &mut [u8]) -> usize {
        let starts = (start..end).step_by(CHUNK);
        let chunk = |at: usize| {
            // A mark may begin in one chunk and end in the next.
            let wanted = (CHUNK + LENGTH - 1).min(end - at);
            let read = memory.read_at(&mut buffer[..wanted], at as u64).unwrap_or(0);
            let pages = buffer[..read].chunks(PAGE).enumerate().filter(|(_, page)| page.iter().any(|&byte| byte != 0));
            let at = pages.flat_map(|(i, page)| (i * PAGE).saturating_sub(LENGTH - 1)..i * PAGE + page.len());
            let places: HashSet<usize> = at.filter(|&at| at < CHUNK && self.is_at(&buffer[at..read])).collect();
            places.len()
        };
        starts.map(chunk).sum()
    }

    fn is_at(&self, bytes: &[u8]) -> bool {
        let Some(bytes) = bytes.first_chunk::<LENGTH>() else { return false };
        let first = usize::from(!bytes[0]) | usize::from(!bytes[1]) << 8;
        self.begins[first] && self.inverted.contains(&invert(bytes))
    }
}

fn invert(mark: &[u8; LENGTH]) -> [u8; LENGTH] {
    mark.map(|byte| !byte)
}

fn begin(inverted: &[u8; LENGTH]) -> usize {
    usize::from(inverted[0]) | usize::from(inverted[1]) << 8
}

/// Where a process may write, from a line of its `maps`.
fn writable(line: &str) -> Option<Range<usize>> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let [start, end] = [start, end].map(|hex| usize::from_str_radix(hex, 16).ok());
    rest.starts_with("rw").then_some(start?..end?)
}
