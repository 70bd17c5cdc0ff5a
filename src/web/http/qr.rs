//! An address as a QR code, drawn as one path of an SVG picture.

use std::fmt::Write;

use qrcode::{Color, QrCode};

/// The number of light modules around the code, as ISO/IEC 18004 requires.
const MARGIN: usize = 4;

/// A QR code as the path of an SVG picture.
#[derive(Clone, Debug)]
pub struct Qr {
    /// Its width in modules, including its margin.
    pub width: usize,
    /// The path of its dark modules.
    pub path: String,
}

/// Returns the QR code of an address; `None` when it is too long for any.
pub fn of(address: &str) -> Option<Qr> {
    let code = QrCode::new(address).ok()?;
    let side = code.width();
    let mut path = String::new();
    for (at, color) in code.to_colors().into_iter().enumerate() {
        if color == Color::Dark {
            let (x, y) = (at % side + MARGIN, at / side + MARGIN);
            // Writing to a `String` can't fail.
            let _written = write!(path, "M{x} {y}h1v1h-1z");
        }
    }
    Some(Qr { width: side + 2 * MARGIN, path })
}

/// Returns the code as a picture of its own.
pub fn picture(qr: &Qr) -> String {
    let (width, path) = (qr.width, &qr.path);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{size}\" height=\"{size}\" \
         viewBox=\"0 0 {width} {width}\" shape-rendering=\"crispEdges\"><path fill=\"#fff\" \
         d=\"M0 0h{width}v{width}h-{width}z\"/><path fill=\"#000\" d=\"{path}\"/></svg>\n",
        size = width * 8
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_its_three_corners_and_a_margin() {
        let qr = of("https://files.example/l/0123456789abcdefghijkl").unwrap();
        let far = qr.width - MARGIN - 1;
        for (x, y) in [(MARGIN, MARGIN), (far, MARGIN), (MARGIN, far)] {
            assert!(qr.path.contains(&format!("M{x} {y}h1")), "{x} {y}");
        }
        assert!(!qr.path.contains("M3 ") && !qr.path.contains(" 3h"));
        assert!(of(&"x".repeat(10_000)).is_none());
    }
}
