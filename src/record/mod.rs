//! Record batch v2: header view, CRC, validation, offset assignment, control batches, compression.
