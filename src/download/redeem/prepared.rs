//! The preconditions and the range of a request, held against the file.

use std::ops::Range;

use crate::download::conditions::{Conditions, Part, Precondition};
use crate::download::problem::Refusal;
use crate::files::FileVersion;
use crate::secret::Digest;

/// What a request asks of the file.
pub(super) enum Prepared {
    Part(Part),
    NotModified(FileVersion),
    Refused(Refusal),
}

/// Evaluates preconditions and range, in the order of the RFC.
pub(super) fn prepare(conditions: &Conditions, current: Option<&Digest>, version: FileVersion) -> Prepared {
    match conditions.evaluate(current, version.modified()) {
        Precondition::Failed => Prepared::Refused(Refusal::Precondition),
        Precondition::NotModified => Prepared::NotModified(version),
        Precondition::Holds => match conditions.part(current, version.modified(), version.len) {
            Part::Unsatisfiable => Prepared::Refused(Refusal::Range { len: version.len }),
            part => Prepared::Part(part),
        },
    }
}

/// Returns the bytes of a part.
pub(crate) fn byte_range(part: &Part, len: u64) -> Range<u64> {
    match part {
        Part::Range(range) => range.clone(),
        Part::Whole | Part::Unsatisfiable => 0..len,
    }
}
