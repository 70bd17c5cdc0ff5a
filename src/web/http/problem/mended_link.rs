//! Mends the address of a link that a mail or chat program has lengthened.

use percent_encoding::percent_decode_str;

/// The beginnings of the addresses that people get by mail or chat.
const LINK_FOLDERS: [&str; 5] = ["/l/", "/r/", "/activate/", "/reset/", "/confirm-address/"];

/// Returns whether a path is that of a link that people get by mail or chat.
pub(crate) fn is_link(path: &str) -> bool {
    LINK_FOLDERS.iter().any(|folder| path.starts_with(folder))
}

/// Returns the address of a link without what a mail or chat program took for a part of it: the full stop of
/// the sentence, a bracket, a slash. `None` where there is nothing to remove.
pub(crate) fn mended(path: &str) -> Option<String> {
    let folder = LINK_FOLDERS.into_iter().find(|folder| path.starts_with(folder))?;
    let link = percent_decode_str(path.get(folder.len()..)?).decode_utf8().ok()?;
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let end = link.find(|c| !is_part(c)).unwrap_or(link.len());
    let (whole, rest) = link.split_at_checked(end)?;
    // An address to which a form of ours is sent.
    if rest.strip_prefix('/').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric())) {
        return None;
    }
    let whole = whole.trim_end_matches('.');
    // A token has two dots of its own, even if its last part is missing.
    if !matches!(folder, "/l/" | "/r/") && whole.matches('.').count() != 2 {
        return None;
    }
    (!whole.is_empty() && whole.len() < link.len()).then(|| format!("{folder}{whole}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_to_a_link_is_removed_and_nothing_else() {
        for added in ["/", ".", ",", ")", "%3E", "%20", ").", "%22%3E", "%3C/a%3E", "%E2%80%9D", ":", "%0A"] {
            assert_eq!(mended(&format!("/l/Ab-_9{added}")).as_deref(), Some("/l/Ab-_9"), "{added}");
        }
        assert_eq!(mended("/reset/a.b.c.").as_deref(), Some("/reset/a.b.c"));
        for whole in [
            "/l/Ab-_9",
            "/l/Ab-_9/code",
            "/l/",
            "/l/.",
            "/reset/a.b.c/renew",
            "/reset/a.b.",
            "/files/a.",
            "/l/%ff",
        ] {
            assert_eq!(mended(whole), None, "{whole}");
        }
    }
}
