//! Evaluates the preconditions and the range of a request against the file.

use std::ops::Range;

use crate::download::conditions::{Conditions, Precondition, RequestedPart};
use crate::download::problem::DownloadRefusal;
use crate::files::FileVersion;
use crate::secret::Digest;

/// The result of that.
pub(crate) enum Prepared {
    Part(RequestedPart),
    NotModified(FileVersion),
    Refused(DownloadRefusal),
}

/// Evaluates preconditions and range, in the order of the RFC.
pub(crate) fn prepare(conditions: &Conditions, current: Option<&Digest>, version: FileVersion) -> Prepared {
    match conditions.evaluate(current, version.modified()) {
        Precondition::Failed => Prepared::Refused(DownloadRefusal::Precondition),
        Precondition::NotModified => Prepared::NotModified(version),
        Precondition::Holds => match conditions.part(current, version.modified(), version.len) {
            RequestedPart::Unsatisfiable => Prepared::Refused(DownloadRefusal::Range { len: version.len }),
            part => Prepared::Part(part),
        },
    }
}

/// Returns the bytes of a part.
pub(crate) fn byte_range(part: &RequestedPart, len: u64) -> Range<u64> {
    match part {
        RequestedPart::Range(range) => range.clone(),
        RequestedPart::Whole | RequestedPart::Unsatisfiable => 0..len,
    }
}
