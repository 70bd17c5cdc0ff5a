//! Formats sizes, times and names for people.

use std::borrow::Cow;

use time::OffsetDateTime;
use time::macros::format_description;

use crate::clock::Timestamp;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A size in decimal units, as disk vendors and browsers use them: `12.3 MB`.
pub fn size(bytes: u64) -> String {
    match bytes {
        1 => return "1 byte".to_owned(),
        0..1000 => return format!("{bytes} bytes"),
        _ => {}
    }
    let mut unit = 1000_u128;
    let mut names = ["kB", "MB", "GB", "TB", "PB", "EB"].into_iter().peekable();
    let bytes = u128::from(bytes);
    while let Some(name) = names.next() {
        // Rounded before the unit is chosen, so that 999,999 bytes are 1.0 MB and not 1000.0 kB.
        let tenths = (bytes * 10 + unit / 2) / unit;
        if tenths < 1000 {
            return format!("{}.{} {name}", tenths / 10, tenths % 10);
        }
        let whole = (bytes + unit / 2) / unit;
        if whole < 1000 || names.peek().is_none() {
            return format!("{whole} {name}");
        }
        unit *= 1000;
    }
    format!("{bytes} bytes")
}

/// The exact size: `12,345,678 bytes`.
pub fn exact_size(bytes: u64) -> String {
    counted(bytes, "byte")
}

/// A number with thousands separators: `12,345,678`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A duration in its largest suitable unit, rounded: `1 minute`, `3 days`.
pub fn span(seconds: u64) -> String {
    let (unit, name) = match seconds {
        0..45 => (1, "second"),
        45..2670 => (MINUTE, "minute"),
        2670..79_200 => (HOUR, "hour"),
        _ => (DAY, "day"),
    };
    counted((seconds + unit / 2) / unit, name)
}

/// A duration in the largest unit in which it is a whole number: `36 hours`, `7 days`.
pub fn period(seconds: u64) -> String {
    let units = [(DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")];
    let whole = units.into_iter().find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit));
    let (unit, name) = whole.unwrap_or((1, "second"));
    counted(seconds / unit, name)
}

/// A waiting time, rounded up so that nobody comes back too early: `40 seconds`, `2 minutes`.
pub fn wait(seconds: u64) -> String {
    let (unit, name) = match seconds {
        0..=60 => (1, "second"),
        61..=HOUR => (MINUTE, "minute"),
        _ => (HOUR, "hour"),
    };
    counted(seconds.div_ceil(unit).max(1), name)
}

/// A number of things in English: `1 file`, `1,200 files`.
pub fn counted(count: u64, what: &str) -> String {
    match what.strip_suffix("ry") {
        _ if count == 1 => format!("1 {what}"),
        Some(stem) => format!("{} {stem}ries", grouped(count)),
        None => format!("{} {what}s", grouped(count)),
    }
}

/// A day: `22 Nov 2026`.
pub fn date(at: Timestamp) -> String {
    let format = format_description!("[day padding:none] [month repr:short] [year]");
    moment(at).and_then(|moment| moment.format(format).ok()).unwrap_or_else(|| at.to_string())
}

/// A time to the minute: `22 Nov 2026, 08:14 UTC`.
pub fn time(at: Timestamp) -> String {
    let format = format_description!("[day padding:none] [month repr:short] [year], [hour]:[minute] UTC");
    moment(at).and_then(|moment| moment.format(format).ok()).unwrap_or_else(|| at.to_string())
}

/// A time to the second: `22 November 2026, 09:34:56 UTC`.
pub fn exact_time(at: Timestamp) -> String {
    let format =
        format_description!("[day padding:none] [month repr:long] [year], [hour]:[minute]:[second] UTC");
    moment(at).and_then(|moment| moment.format(format).ok()).unwrap_or_else(|| at.to_string())
}

/// When something expires, for an email that is sent now: `in 7 days, on Friday 5 December, 18:00 UTC`; later
/// on the same day `in 30 minutes, at 18:30 UTC`; with the year if it is another one.
pub fn end(now: Timestamp, at: Timestamp) -> String {
    const HALF_A_DAY: u64 = 12 * HOUR;
    let (seconds, today) = (at.since(now).as_secs(), moment(now).map(OffsetDateTime::date));
    let length = until(seconds);
    let Some(end) = moment(at) else { return format!("in {length}") };
    let at_time = format_description!("[hour]:[minute] UTC");
    let format = if today == Some(end.date()) && seconds < HALF_A_DAY {
        format_description!("at ")
    } else if today.is_some_and(|today| today.year() == end.year()) {
        format_description!("on [weekday] [day padding:none] [month repr:long], ")
    } else {
        format_description!("on [weekday] [day padding:none] [month repr:long] [year], ")
    };
    match (end.format(format), end.format(at_time)) {
        (Ok(day), Ok(time)) => format!("in {length}, {day}{time}"),
        _ => format!("in {length}"),
    }
}

/// A remaining duration, rounded so that 45 minutes don't become `1 hour`.
fn until(seconds: u64) -> String {
    let rounded = |unit: u64| (seconds + unit / 2) / unit;
    match seconds {
        _ if rounded(MINUTE) < 100 && rounded(MINUTE) != 60 => counted(rounded(MINUTE).max(1), "minute"),
        _ if rounded(HOUR) < 48 => counted(rounded(HOUR), "hour"),
        _ => counted(rounded(DAY), "day"),
    }
}

fn moment(at: Timestamp) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(i64::try_from(at.secs()).ok()?).ok()
}

/// A name that is safe to show on a page. Characters that can disguise a name are shown as `�`: line breaks
/// and other control characters, and those that reverse the direction of text, which turn `exe.png` into
/// `gnp.exe`. Letters of any script stay as they are.
pub fn name(name: &str) -> Cow<'_, str> {
    if !name.contains(hides) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(name.replace(hides, "\u{fffd}"))
}

fn hides(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns whether a character is invisible: format characters, those that change the direction of text,
/// fillers and variation selectors.
pub fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}'
    )
}

/// The icon for a file, chosen by its extension: the id of a symbol in `icons.svg`.
pub fn icon(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    // Longer than any extension below: just a name with a dot.
    if extension.len() > 10 {
        return "file";
    }
    match extension.to_ascii_lowercase().as_str() {
        "pdf" => "pdf",
        "epub" | "mobi" | "azw" | "azw3" | "fb2" | "djvu" | "cbz" | "cbr" => "book",
        "txt" | "md" | "markdown" | "rst" | "log" | "nfo" | "adoc" | "org" => "text",
        "doc" | "docx" | "odt" | "rtf" | "pages" | "tex" | "wpd" => "document",
        "xls" | "xlsx" | "ods" | "csv" | "tsv" | "numbers" | "parquet" => "sheet",
        "ppt" | "pptx" | "odp" | "key" => "slides",
        "png" | "jpg" | "jpeg" | "gif" | "webp" | "avif" | "svg" | "heic" | "heif" | "tif" | "tiff"
        | "bmp" | "ico" | "raw" | "cr2" | "nef" | "dng" | "psd" | "xcf" | "jxl" => "image",
        "mp3" | "flac" | "ogg" | "oga" | "opus" | "m4a" | "aac" | "wav" | "wma" | "aiff" | "mid" | "midi" => {
            "audio"
        }
        "mp4" | "mkv" | "webm" | "mov" | "avi" | "m4v" | "mpg" | "mpeg" | "wmv" | "ogv" | "3gp" => "video",
        "zip" | "tar" | "gz" | "tgz" | "bz2" | "xz" | "zst" | "7z" | "rar" | "lz" | "lz4" | "br" | "iso"
        | "img" | "dmg" | "deb" | "rpm" | "jar" | "apk" | "cab" => "archive",
        "rs" | "c" | "h" | "cc" | "cpp" | "hpp" | "py" | "js" | "ts" | "tsx" | "jsx" | "go" | "java"
        | "kt" | "rb" | "php" | "sh" | "bash" | "ps1" | "bat" | "html" | "htm" | "css" | "json" | "xml"
        | "yaml" | "yml" | "toml" | "ini" | "conf" | "sql" | "lua" | "swift" | "cs" | "r" | "ipynb" => "code",
        _ => "file",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_their_largest_suitable_unit_and_moments_are_in_utc() {
        for (seconds, shown) in [
            (1, "1 second"),
            (44, "44 seconds"),
            (45, "1 minute"),
            (89, "1 minute"),
            (120, "2 minutes"),
            (2_669, "44 minutes"),
            (2_670, "1 hour"),
            (5_400, "2 hours"),
            (79_199, "22 hours"),
            (79_200, "1 day"),
            (29 * DAY, "29 days"),
        ] {
            assert_eq!(span(seconds), shown, "{seconds}");
        }
        let now = Timestamp::from_secs(1_795_340_096);
        assert_eq!(exact_time(now), "22 November 2026, 09:34:56 UTC");
        assert_eq!(time(now), "22 Nov 2026, 09:34 UTC");
        assert_eq!(date(now), "22 Nov 2026");
    }

    #[test]
    fn sizes_keep_three_digits_and_never_reach_a_thousand() {
        for (bytes, shown) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (999, "999 bytes"),
            (1000, "1.0 kB"),
            (12_345, "12.3 kB"),
            (99_949, "99.9 kB"),
            (99_950, "100 kB"),
            (999_499, "999 kB"),
            (999_500, "1.0 MB"),
            (12_345_678, "12.3 MB"),
            (5_000_000_000, "5.0 GB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(size(bytes), shown, "{bytes}");
        }
        assert_eq!(exact_size(12_345_678), "12,345,678 bytes");
        assert_eq!(exact_size(1), "1 byte");
        assert_eq!(exact_size(123), "123 bytes");
    }

    #[test]
    fn an_end_is_told_from_now_and_by_the_calendar() {
        let now = Timestamp::from_secs(1_795_340_096);
        for (seconds, shown) in [
            (20, "in 1 minute, at 09:35 UTC"),
            (15 * MINUTE, "in 15 minutes, at 09:49 UTC"),
            (45 * MINUTE, "in 45 minutes, at 10:19 UTC"),
            (HOUR, "in 1 hour, at 10:34 UTC"),
            (90 * MINUTE, "in 90 minutes, at 11:04 UTC"),
            (DAY - 2, "in 24 hours, on Monday 23 November, 09:34 UTC"),
            (7 * DAY - 2, "in 7 days, on Sunday 29 November, 09:34 UTC"),
            (60 * DAY, "in 60 days, on Thursday 21 January 2027, 09:34 UTC"),
        ] {
            assert_eq!(end(now, Timestamp::from_secs(now.secs() + seconds)), shown, "{seconds}");
        }
    }

    #[test]
    fn nobody_is_told_to_come_too_early() {
        for (seconds, shown) in
            [(0, "1 second"), (60, "60 seconds"), (61, "2 minutes"), (3600, "60 minutes"), (3601, "2 hours")]
        {
            assert_eq!(wait(seconds), shown, "{seconds}");
        }
    }

    #[test]
    fn a_name_cannot_hide_what_it_is() {
        assert_eq!(name("我这一辈子.pdf"), "我这一辈子.pdf");
        assert_eq!(name("👩‍👩‍👧.png"), "👩‍👩‍👧.png");
        assert_eq!(name("a\nb\u{202e}gnp.exe"), "a\u{fffd}b\u{fffd}gnp.exe");
    }

    #[test]
    fn an_icon_follows_the_extension() {
        for (name, wanted) in [
            ("a.PDF", "pdf"),
            ("photo.jpeg", "image"),
            ("backup.tar.gz", "archive"),
            ("README", "file"),
            (".pdf", "pdf"),
            ("no.such-extension-at-all", "file"),
            ("", "file"),
        ] {
            assert_eq!(icon(name), wanted, "{name}");
        }
    }
}
