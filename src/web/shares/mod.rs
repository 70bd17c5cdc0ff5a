//! Rights in shares, and every change of what lies in them. Knows nothing of HTTP.

pub mod digests;
pub mod disk;
pub mod editor;
pub mod error;
pub mod folding;
pub mod name;
pub mod rights;
