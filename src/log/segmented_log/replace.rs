//! Putting compacted copies in the place of the segments they were made from.

use std::sync::Arc;

use super::super::LogError;
use super::super::compaction::Replacement;
use super::super::disk::Disk;
use super::super::file_names::Standing;
use super::super::segment::Segment;
use super::SegmentedLog;

impl<D: Disk> SegmentedLog<D> {
    /// Puts copies in the place of the segments they were made from. False, and nothing is changed, when one of those
    /// is no longer there. Durable step by step: at no moment would a start find a segment twice, or not at all.
    pub(in crate::log) fn replace_segments(&mut self, replacements: &[Replacement<D>]) -> Result<bool, LogError> {
        let mut segments = Vec::clone(&self.segments());
        for Replacement { sources, copy } in replacements {
            let Some(first) = sources.first() else { return Ok(false) };
            let at = segments.iter().position(|segment| Arc::ptr_eq(segment, first));
            let Some(places) = at.map(|at| at..at + sources.len()) else { return Ok(false) };
            let is_there = |here: &[Arc<Segment<D>>]| here.iter().zip(sources).all(|(a, b)| Arc::ptr_eq(a, b));
            if !segments.get(places.clone()).is_some_and(is_there) {
                return Ok(false);
            }
            segments.splice(places, [copy.clone()]);
        }
        replacements.iter().try_for_each(|replacement| replacement.copy.rename_to(Standing::Swap))?;
        self.sync_directory()?;
        // From here on a start would put the copies in place: so must we, or take no more writes.
        let replaced = self.put_in_place(replacements);
        self.failed |= replaced.is_err();
        replaced?;
        self.shared.segments.store(Arc::new(segments));
        Ok(true)
    }

    fn put_in_place(&mut self, replacements: &[Replacement<D>]) -> Result<(), LogError> {
        for source in replacements.iter().flat_map(|replacement| &replacement.sources) {
            source.mark_deleted()?;
            self.deleted.push_back((source.clone(), None));
        }
        self.sync_directory()?;
        replacements.iter().try_for_each(|replacement| replacement.copy.rename_to(Standing::Present))?;
        self.directory_dirty = true;
        Ok(())
    }
}
