//! Uploads: files that are being received. [`Uploads::begin`] gives one an id, [`intake`] receives its bytes,
//! [`finish`] gives the complete file its name, [`join`] joins parts into a file, [`sweep`] removes abandoned
//! uploads. Guests of file requests use the same ([`sender`], [`allowance`]). Doesn't depend on HTTP.
//!
//! The bytes are in `.oncelink/uploads` of the destination share. An upload's offset is the length of its
//! file, so nothing that was acknowledged is lost if the process ends. The row in the database is created
//! before the file.

mod allowance;
pub mod checksum;
mod coming;
mod expected;
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
pub mod sender;
pub mod sweep;
mod upload;
mod writer;

pub use lifecycle::Uploads;
pub use quota::UploadLimits;
pub use upload::{Joining, NewUpload, Upload, UploadPurpose, UploadStage};
