//! Searches the memory of a process for what it should have wiped. Linux only: it reads `/proc/PID/mem`.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Result;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// Bytes of a mark: too many to occur by chance.
const LENGTH: usize = 16;

/// Bytes read at a time.
const CHUNK: usize = 1 << 20;

const PAGE: usize = 4096;

/// Byte strings to look for, kept inverted so that the search does not find them here.
pub struct Marks {
    inverted: HashSet<[u8; LENGTH]>,
    /// For each two bytes, inverted: whether a mark begins with them.
    begins: Vec<bool>,
}

impl Marks {
    /// Every 16-byte piece of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let inverted: HashSet<[u8; LENGTH]> = bytes.as_chunks().0.iter().map(invert).collect();
        let mut begins = vec![false; 1 << 16];
        inverted.iter().for_each(|mark| begins[begin(mark)] = true);
        Self { inverted, begins }
    }

    /// The number of marks found in the writable memory of the process `id`.
    ///
    /// # Errors
    /// As [`Marks::find`].
    pub fn count(&self, id: u32) -> Result<usize> {
        Ok(self.find(id)?.iter().map(|(_, found)| found).sum())
    }

    /// The mappings with marks in them, as the kernel describes them, and the number of marks in each. A place no
    /// longer mapped holds none.
    ///
    /// # Errors
    /// Those of reading the process's memory.
    pub fn find(&self, id: u32) -> Result<Vec<(String, usize)>> {
        let memory = File::open(format!("/proc/{id}/mem"))?;
        let mut buffer = vec![0; CHUNK + PAGE];
        // This buffer holds the last chunk, and is part of the memory searched where the process is this one.
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

/// The writable range that a line of a process's `maps` describes.
fn writable(line: &str) -> Option<Range<usize>> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let [start, end] = [start, end].map(|hex| usize::from_str_radix(hex, 16).ok());
    rest.starts_with("rw").then_some(start?..end?)
}
