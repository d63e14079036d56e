//! Kafka's variable-length integers: seven bits a byte, lowest first, zigzag so that small negatives stay short.

/// A reader that never runs past its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    #[inline]
    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    /// At most five bytes.
    #[inline]
    pub(super) fn varint(&mut self) -> Option<i32> {
        let raw = self.unsigned(5)?;
        u32::try_from(raw).ok().map(|raw| (raw >> 1) as i32 ^ -((raw & 1) as i32))
    }

    /// At most ten bytes.
    #[inline]
    pub(super) fn varlong(&mut self) -> Option<i64> {
        let raw = self.unsigned(10)?;
        Some((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// Bytes behind a varint length; −1 is null, other negative lengths are faults.
    #[inline]
    pub(super) fn nullable_bytes(&mut self) -> Option<Option<&'a [u8]>> {
        match self.varint()? {
            -1 => Some(None),
            length => self.take(usize::try_from(length).ok()?).map(Some),
        }
    }

    #[inline]
    fn unsigned(&mut self, bytes_max: u32) -> Option<u64> {
        // Nearly all varints of a record take one byte.
        let first = self.byte()?;
        if first < 0x80 {
            return Some(u64::from(first));
        }
        self.unsigned_rest(u64::from(first & 0x7f), bytes_max)
    }

    fn unsigned_rest(&mut self, mut value: u64, bytes_max: u32) -> Option<u64> {
        for shift in (1..bytes_max).map(|index| index * 7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit only.
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

/// Appends a varint.
pub(super) fn put_varint(out: &mut Vec<u8>, value: i32) {
    put_varlong(out, i64::from(value));
}

/// Appends a varlong. A value that fits 32 bits takes the same bytes as a varint.
pub(super) fn put_varlong(out: &mut Vec<u8>, value: i64) {
    let mut raw = ((value << 1) ^ (value >> 63)) as u64;
    while raw >= 0x80 {
        out.push(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.push(raw as u8);
}

/// Bytes that [`put_varlong`] appends.
pub(super) fn varlong_size(value: i64) -> usize {
    let raw = ((value << 1) ^ (value >> 63)) as u64;
    (64 - (raw | 1).leading_zeros() as usize).div_ceil(7)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_bytes() {
        for (value, bytes) in [(0, &[0][..]), (-1, &[1]), (1, &[2]), (63, &[0x7e]), (-64, &[0x7f]), (64, &[0x80, 1])] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(out, bytes);
            assert_eq!(Cursor::new(bytes).varint(), Some(value));
        }
    }

    #[test]
    fn too_long_or_cut_off() {
        assert_eq!(Cursor::new(&[0x80, 0x80, 0x80, 0x80, 0x80, 0]).varint(), None);
        assert_eq!(Cursor::new(&[0xff, 0xff, 0xff, 0xff, 0x1f]).varint(), None);
        assert_eq!(Cursor::new(&[0xff, 0xff, 0xff, 0xff, 0x0f]).varint(), Some(i32::MIN));
        assert_eq!(Cursor::new(&[0xff; 10]).varlong(), None);
        assert_eq!(Cursor::new(&[0x80]).varint(), None);
        assert_eq!(Cursor::new(&[]).varlong(), None);
    }

    proptest! {
        #[test]
        fn round_trip(value: i64, small: i32) {
            for value in [value, i64::from(small)] {
                let mut out = Vec::new();
                put_varlong(&mut out, value);
                prop_assert_eq!(out.len(), varlong_size(value));
                prop_assert_eq!(Cursor::new(&out).varlong(), Some(value));
                prop_assert_eq!(Cursor::new(&out).varint(), i32::try_from(value).ok());
            }
        }
    }
}
