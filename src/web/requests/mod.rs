//! File requests: links to put files in. [`create`] and [`change`] are what their owners do, [`guests`] gives
//! the people who send files their tickets, [`received`] lists what has arrived, [`notices`] tells the owner,
//! [`sweep`] deletes what nobody needs any more. The uploads themselves are in `uploads`.

pub mod change;
pub mod create;
pub mod find;
pub mod guests;
pub mod notices;
pub mod received;
mod request;
pub mod size_field;
pub mod sweep;
pub mod terms;

pub use request::{FileRequest, FileRequests, GRACE, RequestError, RequestStatus};
