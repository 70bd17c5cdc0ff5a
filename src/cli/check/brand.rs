//! Checks the operator's name, logo, color and support address.

use crate::brand::Brand;
use crate::cli::check::findings::Findings;
use crate::config::Settings;

pub(super) fn look(settings: &Settings, findings: &mut Findings) {
    match Brand::open(&settings.brand) {
        Ok(brand) => findings.ok("brand", &brand.name),
        Err(error) => findings.error("brand", &error),
    }
}
