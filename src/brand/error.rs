//! Why an operator's brand can't be used.

use std::io;
use std::path::PathBuf;

use crate::config::InvalidBrand;

/// The brand can't be used.
#[derive(Debug, thiserror::Error)]
pub enum BrandError {
    /// A value is not valid.
    #[error(transparent)]
    Setting(#[from] InvalidBrand),
    /// The logo can't be read.
    #[error("setting `brand.logo`: cannot read {}; correct the path, or leave it empty", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The logo is too large.
    #[error(
        "setting `brand.logo`: {} is larger than 32 KiB; save it smaller, or as SVG or WebP",
        path.display()
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The logo is not a picture that browsers show.
    #[error("setting `brand.logo`: {} is not a PNG, JPEG, WebP or SVG picture; convert it", path.display())]
    NotAPicture {
        /// The file.
        path: PathBuf,
    },
}
