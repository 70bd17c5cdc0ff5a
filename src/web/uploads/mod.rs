//! Uploads: files on their way into a share. [`Uploads::begin`] gives one an id, [`intake`] takes its bytes,
//! [`finish`] gives the whole file its name, [`join`] puts one together from parts, [`sweep`] forgets what
//! nobody goes on with. Knows nothing of HTTP.
//!
//! The bytes lie in `.oncelink/uploads` of the share that they go to; how many are there is the
//! upload's offset, so nothing that was acknowledged is lost with the process. The row in the
//! database comes first, the file second.

pub mod checksum;
pub mod finish;
mod gone_files;
pub mod id;
pub mod intake;
pub mod join;
mod lifecycle;
pub mod lock;
pub mod quota;
mod receive;
mod room;
pub mod rows;
pub mod sweep;
mod upload;
mod writer;

pub use lifecycle::Uploads;
pub use quota::UploadLimits;
pub use upload::{Joining, NewUpload, Upload, UploadPurpose, UploadStage};
