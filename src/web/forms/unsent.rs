//! Forms that were sent after their session had ended. They are kept in memory for a few minutes, so that the
//! input isn't lost when the user logs in again. Only the browser that sent a form can get it back.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::secret::{Digest, RandomError, Secret};

/// How long a form is kept.
const KEPT_FOR: Duration = Duration::from_secs(15 * 60);

/// Maximum size of a kept form, and maximum number of kept forms of all browsers: 4 MiB in total.
pub const MOST_BYTES: usize = 32 * 1024;
const MOST_FORMS: usize = 128;

/// Maximum number of kept forms of one browser.
const MOST_OF_ONE: usize = 4;

/// A form as it was sent.
pub struct UnsentForm {
    /// The path in this app that it was sent to.
    pub action: String,
    /// The names and values of its fields, without the CSRF token.
    pub fields: Vec<(String, Zeroizing<String>)>,
}

struct Kept {
    id: Digest,
    browser: Digest,
    until: Timestamp,
    form: Arc<UnsentForm>,
}

/// The kept forms of all browsers, the oldest first.
#[derive(Default)]
pub struct UnsentForms(Mutex<VecDeque<Kept>>);

impl UnsentForms {
    /// Keeps a form for the browser with this secret, and returns an id for finding it again.
    ///
    /// # Errors
    /// If the operating system provides no random bytes.
    pub fn keep(&self, browser: &Secret, form: UnsentForm, now: Timestamp) -> Result<Secret, RandomError> {
        let id = Secret::random::<16>()?;
        let browser = browser.digest();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|form| form.until > now);
        if kept.iter().filter(|form| form.browser == browser).count() >= MOST_OF_ONE
            && let Some(oldest) = kept.iter().position(|form| form.browser == browser)
        {
            kept.remove(oldest);
        }
        while kept.len() >= MOST_FORMS {
            kept.pop_front();
        }
        kept.push_back(Kept { id: id.digest(), browser, until: now.plus(KEPT_FOR), form: Arc::new(form) });
        Ok(id)
    }

    /// Returns the form with this id, if it is still kept and this browser sent it.
    pub fn find(&self, browser: &Secret, id: &str, now: Timestamp) -> Option<Arc<UnsentForm>> {
        let (browser, id) = (browser.digest(), Secret::presented(id).digest());
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().find(|kept| kept.id == id && kept.browser == browser && kept.until > now);
        found.map(|kept| Arc::clone(&kept.form))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> UnsentForm {
        let fields = vec![("note".to_owned(), Zeroizing::new(text.to_owned()))];
        UnsentForm { action: "/links".to_owned(), fields }
    }

    #[test]
    fn a_form_is_kept_for_a_while_for_its_own_browser_only() {
        let forms = UnsentForms::default();
        let (one, other) = (Secret::presented("one"), Secret::presented("other"));
        let now = Timestamp::from_secs(1_000);
        let id = forms.keep(&one, form("typed"), now).unwrap();
        assert!(forms.find(&one, id.reveal(), now).is_some());
        assert!(forms.find(&other, id.reveal(), now).is_none());
        assert!(forms.find(&one, "x", now).is_none());
        assert!(forms.find(&one, id.reveal(), now.plus(KEPT_FOR)).is_none());
    }

    #[test]
    fn kept_forms_are_limited_per_browser_and_in_total() {
        let forms = UnsentForms::default();
        let (one, now) = (Secret::presented("one"), Timestamp::from_secs(1_000));
        let first = forms.keep(&one, form("1"), now).unwrap();
        for _ in 0..MOST_OF_ONE {
            forms.keep(&one, form("2"), now).unwrap();
        }
        assert!(forms.find(&one, first.reveal(), now).is_none());
        for number in 0..MOST_FORMS + 10 {
            forms.keep(&Secret::presented(&number.to_string()), form("3"), now).unwrap();
        }
        assert_eq!(forms.0.lock().unwrap().len(), MOST_FORMS);
    }
}
