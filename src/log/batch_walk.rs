//! Going from batch to batch in a segment file: by headers alone, or with every byte checked.

use std::io;
use std::sync::Arc;

use crate::record::{BATCH_HEADER_LENGTH, Batch, BatchHeader, Batches, RecordError};

use super::disk::{DiskFile, read_full};

/// What one read brings while only headers are looked at. About `index.interval.bytes`, which is how far a lookup
/// has to walk.
const CHUNK_BYTES: usize = 4096;
/// What one read brings while every byte is looked at.
const SCAN_BYTES: usize = 1 << 20;

/// A batch and where it lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Located {
    /// Position of its first byte.
    pub position: u64,
    /// Its header.
    pub header: BatchHeader,
}

impl Located {
    /// Where the next batch begins.
    pub fn end(&self) -> u64 {
        self.position + self.header.size() as u64
    }
}

/// Why a walk stops.
#[derive(Debug)]
pub enum Stop {
    /// Exactly at the end.
    End,
    /// The end lies inside a batch.
    Incomplete,
    /// Bytes that are no batch.
    Invalid(RecordError),
    /// The disk refused.
    Io(io::Error),
}

/// Walks over headers without looking at records.
#[derive(Debug)]
pub struct HeaderWalk<F> {
    file: Arc<F>,
    position: u64,
    end: u64,
    chunk: [u8; CHUNK_BYTES],
    chunk_position: u64,
    chunk_length: usize,
}

impl<F: DiskFile> HeaderWalk<F> {
    /// Walks from `position`, where a batch begins, to `end`.
    pub fn new(file: Arc<F>, position: u64, end: u64) -> Self {
        Self { file, position, end, chunk: [0; CHUNK_BYTES], chunk_position: position, chunk_length: 0 }
    }

    /// Where the walk stands: the end of the last batch it gave.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next batch, or why there is none.
    pub fn step(&mut self) -> Result<Located, Stop> {
        if self.position >= self.end {
            return Err(Stop::End);
        }
        let header = match BatchHeader::parse(self.header_bytes().map_err(Stop::Io)?) {
            Ok(header) => header,
            Err(RecordError::Truncated { .. }) => return Err(Stop::Incomplete),
            Err(error) => return Err(Stop::Invalid(error)),
        };
        let located = Located { position: self.position, header };
        if located.end() > self.end {
            return Err(Stop::Incomplete);
        }
        self.position = located.end();
        Ok(located)
    }

    /// At least a header from the position on, unless the end comes first.
    fn header_bytes(&mut self) -> io::Result<&[u8]> {
        let wanted = (BATCH_HEADER_LENGTH as u64).min(self.end - self.position);
        if self.position + wanted > self.chunk_position + self.chunk_length as u64 {
            let length = usize::try_from(self.end - self.position).unwrap_or(usize::MAX).min(CHUNK_BYTES);
            let chunk = self.chunk.get_mut(..length).unwrap_or_default();
            self.chunk_length = read_full(&*self.file, chunk, self.position)?;
            self.chunk_position = self.position;
        }
        let from = (self.position - self.chunk_position) as usize;
        let to = self.chunk_length.min(from + wanted as usize);
        Ok(self.chunk.get(from..to).unwrap_or_default())
    }
}

/// Passes the batches from `position` to `end` to `visit`, each with its CRC checked and with its position, until it
/// asks to stop by an error or something is wrong. Returns where the last good batch ended, and why it stopped.
pub fn scan_batches<E>(
    file: &impl DiskFile,
    mut position: u64,
    end: u64,
    mut visit: impl FnMut(u64, &Batch<'_>) -> Result<(), E>,
) -> Result<(u64, Stop), E> {
    let mut buffer = Vec::new();
    let mut wanted = SCAN_BYTES;
    while position < end {
        let length = usize::try_from(end - position).unwrap_or(usize::MAX).min(wanted);
        buffer.resize(length, 0);
        let length = match read_full(file, &mut buffer, position) {
            Ok(length) => length,
            Err(error) => return Ok((position, Stop::Io(error))),
        };
        buffer.truncate(length);
        let mut batches = Batches::new(&buffer);
        while let Some(batch) = batches.next() {
            match batch.map(|batch| (batch.verify_crc(), batch)) {
                Ok((Ok(()), batch)) => visit(position + batch.position as u64, &batch)?,
                Ok((Err(_), batch)) if mutant!("recovery-skips-the-crc") => {
                    visit(position + batch.position as u64, &batch)?
                }
                Ok((Err(error), batch)) => return Ok((position + batch.position as u64, Stop::Invalid(error))),
                Err(error) => return Ok((position + batches.position() as u64, Stop::Invalid(error))),
            }
        }
        let passed = batches.position();
        if passed > 0 {
            position += passed as u64;
            wanted = SCAN_BYTES;
        } else if position + (length as u64) < end && length >= wanted {
            // A batch larger than the buffer: take twice as much until it fits.
            wanted = wanted.saturating_mul(2);
        } else {
            return Ok((position, Stop::Incomplete));
        }
    }
    Ok((position, Stop::End))
}

/// True when `file` holds only zeros from `position` to `end`.
pub fn is_zero(file: &impl DiskFile, mut position: u64, end: u64) -> io::Result<bool> {
    let mut buffer = vec![0; SCAN_BYTES.min(usize::try_from(end.saturating_sub(position)).unwrap_or(SCAN_BYTES))];
    while position < end {
        let length = usize::try_from(end - position).unwrap_or(usize::MAX).min(buffer.len());
        let read = read_full(file, buffer.get_mut(..length).unwrap_or_default(), position)?;
        if read == 0 {
            break;
        }
        if buffer.iter().take(read).any(|byte| *byte != 0) {
            return Ok(false);
        }
        position += read as u64;
    }
    Ok(true)
}
