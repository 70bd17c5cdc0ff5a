//! The colors that follow from an operator's accent color, chosen so that text stays readable.
//!
//! The color itself fills the main button, with black or white text on it, whichever reads better. Where the
//! color is text or a line, a darker shade (in dark mode a lighter one) of the same hue is used until its contrast is
//! sufficient. So no color is refused.

use std::fmt::{self, Display, Formatter, Write};

use crate::config::Rgb;

/// The minimum contrast of text (WCAG 2.2, success criterion 1.4.3).
const TEXT: f64 = 4.5;

/// The surfaces of `base.css` behind text in the accent color: cards and the canvas.
const LIGHT_SURFACES: [Rgb; 2] = [Rgb([0xff, 0xff, 0xff]), Rgb([0xf5, 0xf7, 0xf6])];
const DARK_SURFACES: [Rgb; 2] = [Rgb([0x18, 0x21, 0x20]), Rgb([0x0f, 0x15, 0x14])];

const BLACK: Rgb = Rgb([0, 0, 0]);
const WHITE: Rgb = Rgb([255, 255, 255]);

/// The colors of one color scheme.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scheme {
    /// Text, icons and lines.
    pub(super) accent: Rgb,
    /// The same under the pointer.
    pub(super) accent_strong: Rgb,
    /// The background of the main button.
    pub(super) fill: Rgb,
    /// The same under the pointer.
    pub(super) fill_strong: Rgb,
    /// Text on either.
    pub(super) on_fill: Rgb,
    /// A background that hints at the color.
    pub(super) tint: Rgb,
}

/// The colors of both color schemes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Palette {
    pub(super) light: Scheme,
    pub(super) dark: Scheme,
}

impl Palette {
    pub(super) fn of(color: Rgb) -> Palette {
        let tint = mixed(WHITE, color, 0.1);
        let accent = readable(color, BLACK, &[LIGHT_SURFACES[0], LIGHT_SURFACES[1], tint]);
        let light = Scheme { accent, accent_strong: mixed(accent, BLACK, 0.25), tint, ..filled(color) };
        let tint = mixed(DARK_SURFACES[0], color, 0.18);
        let accent = readable(color, WHITE, &[DARK_SURFACES[0], DARK_SURFACES[1], tint]);
        let dark = Scheme { accent, accent_strong: mixed(accent, WHITE, 0.3), tint, ..filled(accent) };
        Palette { light, dark }
    }

    /// Returns the style sheet that replaces the built-in colors.
    pub(super) fn css(&self) -> String {
        let mut css = String::from(":root{");
        self.light.write(&mut css);
        css.push_str("}@media (prefers-color-scheme:dark){:root{");
        self.dark.write(&mut css);
        css.push_str("}}\n");
        css
    }
}

impl Scheme {
    fn write(&self, css: &mut String) {
        for (name, color) in [
            ("accent", self.accent),
            ("accent-strong", self.accent_strong),
            ("fill", self.fill),
            ("fill-strong", self.fill_strong),
            ("on-fill", self.on_fill),
            ("tint", self.tint),
            ("c-folder", self.accent),
        ] {
            // Writing to a string can't fail.
            let _ = write!(css, "--{name}:{};", Hex(color));
        }
    }
}

/// A color as style sheets and mails have it: `#0b6a5f`.
pub(super) struct Hex(pub(super) Rgb);

impl Display for Hex {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Rgb([red, green, blue]) = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

/// Returns the fill of a button, with text on it that is black or white. The other colors are placeholders.
fn filled(fill: Rgb) -> Scheme {
    let on_fill = if contrast(fill, WHITE) >= TEXT { WHITE } else { BLACK };
    // Away from the text, so that the contrast only grows.
    let away = if on_fill == WHITE { BLACK } else { WHITE };
    let fill_strong = mixed(fill, away, 0.2);
    Scheme { accent: fill, accent_strong: fill, fill, fill_strong, on_fill, tint: fill }
}

/// Returns the color, or the nearest mixture of it with `end` that is readable on all of these surfaces.
fn readable(color: Rgb, end: Rgb, surfaces: &[Rgb]) -> Rgb {
    let steps = (0..=100).map(|step| mixed(color, end, f64::from(step) / 100.0));
    let mut fine = steps.filter(|shade| surfaces.iter().all(|under| contrast(*shade, *under) >= TEXT));
    fine.next().unwrap_or(end)
}

/// Mixes two colors: `share` of the second.
fn mixed(Rgb(one): Rgb, Rgb(other): Rgb, share: f64) -> Rgb {
    let channel = |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * share).round() as u8;
    let [r, g, b] = one;
    let [s, h, c] = other;
    Rgb([channel(r, s), channel(g, h), channel(b, c)])
}

/// The contrast ratio of two colors (WCAG 2.2, "contrast ratio"): 1 to 21.
pub(super) fn contrast(one: Rgb, other: Rgb) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

/// The relative luminance (WCAG 2.2, "relative luminance").
fn luminance(Rgb(channels): Rgb) -> f64 {
    let [red, green, blue] = channels.map(|channel| {
        let value = f64::from(channel) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    });
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn contrast_is_what_the_standard_says() {
        assert!((contrast(BLACK, WHITE) - 21.0).abs() < 0.001);
        assert!((contrast(WHITE, Rgb([0x76, 0x76, 0x76])) - 4.54).abs() < 0.01);
    }

    #[test]
    fn text_is_readable_with_every_color() {
        let steps = || (0..=255).step_by(15);
        for color in steps().flat_map(|r| steps().flat_map(move |g| steps().map(move |b| Rgb([r, g, b])))) {
            let palette = Palette::of(color);
            for (scheme, surfaces) in [(palette.light, LIGHT_SURFACES), (palette.dark, DARK_SURFACES)] {
                for text in [scheme.accent, scheme.accent_strong] {
                    for under in surfaces.into_iter().chain([scheme.tint]) {
                        assert!(contrast(text, under) >= TEXT, "{color:?}: {text:?} on {under:?}");
                    }
                }
                for fill in [scheme.fill, scheme.fill_strong] {
                    assert!(contrast(scheme.on_fill, fill) >= TEXT, "{color:?}: {fill:?}");
                }
            }
            // Also the other text that stands on a tint.
            assert!(contrast(Rgb([0x17, 0x21, 0x1f]), palette.light.tint) >= TEXT, "{color:?}");
            assert!(contrast(Rgb([0xe5, 0xec, 0xea]), palette.dark.tint) >= TEXT, "{color:?}");
        }
    }

    #[test]
    fn the_color_itself_fills_the_main_button() {
        let yellow = Rgb([0xff, 0xd4, 0x00]);
        let palette = Palette::of(yellow);
        assert_eq!((palette.light.fill, palette.light.on_fill), (yellow, BLACK));
        assert!(palette.css().contains("--fill:#ffd400;"), "{}", palette.css());
        assert_ne!(palette.light.accent, yellow, "links are darker");
    }

    /// The colors that one block of our style sheets defines.
    fn tokens(css: &str) -> BTreeMap<String, Rgb> {
        css.split(';')
            .filter_map(|line| {
                let (name, value) = line.split('{').next_back()?.trim().split_once(':')?;
                let digits = value.trim().strip_prefix('#').filter(|digits| digits.len() == 6)?;
                let [_, red, green, blue] = u32::from_str_radix(digits, 16).ok()?.to_be_bytes();
                Some((name.trim().to_owned(), Rgb([red, green, blue])))
            })
            .collect()
    }

    #[test]
    fn the_built_in_colors_are_readable_in_both_schemes() {
        let base = include_str!("../../templates/static/base.css");
        let web = include_str!("../../templates/static/web.css");
        for (scheme, surfaces) in [("light", LIGHT_SURFACES), ("dark", DARK_SURFACES)] {
            let part = |css: &str| {
                let (_, rest) = css.split_once(":root").unwrap();
                let (light, dark) = rest.split_once("prefers-color-scheme: dark").unwrap();
                tokens(if scheme == "light" { light } else { dark.split("\n}").next().unwrap() })
            };
            let colors: BTreeMap<_, _> = part(base).into_iter().chain(part(web)).collect();
            let of = |name: &str| *colors.get(name).unwrap_or_else(|| panic!("{scheme} has no {name}"));
            assert_eq!([of("--surface"), of("--canvas")], surfaces, "{scheme}: the palette's surfaces");
            let everywhere = ["--surface", "--canvas", "--tint"];
            let mut pairs = Vec::new();
            for text in ["--ink", "--muted", "--accent", "--accent-strong"] {
                pairs.extend(everywhere.map(|under| (text, under, TEXT)));
            }
            pairs.extend([
                ("--ink", "--line", TEXT),
                ("--on-accent", "--accent", TEXT),
                ("--on-accent", "--accent-strong", TEXT),
                ("--failed", "--failed-tint", TEXT),
                ("--failed", "--surface", TEXT),
                ("--failed", "--canvas", TEXT),
                ("--done", "--done-tint", TEXT),
                ("--done", "--surface", TEXT),
                ("--done", "--canvas", TEXT),
            ]);
            // The edges of fields and buttons, and icons (WCAG 1.4.11).
            pairs.extend([("--edge", "--surface", 3.0), ("--edge", "--canvas", 3.0)]);
            let icons: Vec<String> = colors.keys().filter(|name| name.starts_with("--c-")).cloned().collect();
            assert!(icons.len() > 10, "{icons:?}");
            pairs.extend(icons.iter().map(|icon| (icon.as_str(), "--surface", 3.0)));
            for (text, under, least) in pairs {
                let ratio = contrast(of(text), of(under));
                assert!(ratio >= least, "{scheme}: {text} on {under} is {ratio:.2}, not {least}");
            }
        }
    }
}
