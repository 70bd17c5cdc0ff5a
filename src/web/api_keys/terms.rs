//! The terms of a new key as they were typed, and what is wrong with them. Each error is a sentence that is shown
//! beside its field, and nothing happens until all fields are valid.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::config::Network;
use crate::human;
use crate::web::api_keys::scope::{Scope, Scopes};

/// Maximum number of characters of a name.
pub const NAME_MAX: usize = 100;
/// Maximum number of networks of a key.
const NETWORKS_MAX: usize = 20;
/// Maximum number of shares that a key can be limited to.
const SHARES_MAX: usize = 100;
/// The longest lifetime of a key that expires, in days.
const DAYS_MAX: u64 = 3_650;

/// The fields as they were typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyForm {
    /// The name.
    pub name: String,
    /// What the key may do.
    pub scopes: Scopes,
    /// After how many days it expires; empty for never.
    pub days: String,
    /// Names of shares, separated by commas; empty for all.
    pub shares: String,
    /// Addresses and networks, separated by commas or white space; empty for all.
    pub networks: String,
}

/// Valid terms. Only [`KeyForm::check`] makes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyTerms {
    /// The name.
    pub name: String,
    /// What the key may do; never nothing.
    pub scopes: Scopes,
    /// When it expires; `None` for never.
    pub ends_at: Option<Timestamp>,
    /// The shares that it is limited to; `None` for all.
    pub shares: Option<BTreeSet<String>>,
    /// The networks from which it may be used; empty for all.
    pub networks: Vec<Network>,
    _checked: Checked,
}

/// Makes sure that no other module creates terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Checked;

/// The errors in a form, by field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyFormErrors {
    /// An error of the whole form.
    pub form: Option<String>,
    /// An error in the name.
    pub name: Option<String>,
    /// An error in what the key may do.
    pub scopes: Option<String>,
    /// An error in its lifetime.
    pub days: Option<String>,
    /// An error in the shares.
    pub shares: Option<String>,
    /// An error in the networks.
    pub networks: Option<String>,
    /// An error in the current password, which the page asks for.
    pub current_password: Option<String>,
}

impl KeyFormErrors {
    /// Returns whether anything is wrong.
    pub fn any(&self) -> bool {
        *self != KeyFormErrors::default()
    }
}

impl KeyForm {
    /// Returns the terms if they are valid. `known` are the names of the shares that the account may read, and
    /// `is_admin` says whether it is an administrator's.
    ///
    /// # Errors
    /// The errors of each field.
    pub fn check(
        &self,
        known: &BTreeSet<String>,
        is_admin: bool,
        now: Timestamp,
    ) -> Result<KeyTerms, Box<KeyFormErrors>> {
        let mut errors = KeyFormErrors::default();
        let name = human::name(self.name.trim()).into_owned();
        if name.is_empty() || name.chars().count() > NAME_MAX || name.contains(char::is_control) {
            errors.name = Some(format!("Enter a name of at most {NAME_MAX} characters."));
        }
        if self.scopes.is_empty() {
            errors.scopes = Some("Choose at least one thing that the key may do.".to_owned());
        } else if self.scopes.contains(Scope::Admin) && !is_admin {
            errors.scopes = Some("Only administrators can make keys for the administration.".to_owned());
        }
        let days = match self.days.trim() {
            "" => None,
            days => match days.parse::<u64>().ok().filter(|days| (1..=DAYS_MAX).contains(days)) {
                Some(days) => Some(days),
                None => {
                    errors.days = Some("Enter a whole number of days from 1 to 3,650.".to_owned());
                    None
                }
            },
        };
        let shares = shares_in(&self.shares, known).unwrap_or_else(|sentence| {
            errors.shares = Some(sentence);
            None
        });
        let networks = networks_in(&self.networks).unwrap_or_else(|sentence| {
            errors.networks = Some(sentence);
            Vec::new()
        });
        if errors.any() {
            return Err(Box::new(errors));
        }
        let ends_at = days.map(|days| now.plus(Duration::from_secs(days * 24 * 60 * 60)));
        Ok(KeyTerms { name, scopes: self.scopes, ends_at, shares, networks, _checked: Checked })
    }
}

fn shares_in(typed: &str, known: &BTreeSet<String>) -> Result<Option<BTreeSet<String>>, String> {
    let names = typed.split([',', '\n']).map(|name| name.trim().trim_matches('/'));
    let names: BTreeSet<&str> = names.filter(|name| !name.is_empty()).collect();
    if names.len() > SHARES_MAX {
        return Err(format!("Enter at most {SHARES_MAX} shares."));
    }
    if let Some(unknown) = names.iter().find(|name| !known.contains(**name)) {
        return Err(format!("There is no share “{}” that you can read.", human::name(unknown)));
    }
    let shares: BTreeSet<String> = names.into_iter().map(str::to_owned).collect();
    Ok(Some(shares).filter(|shares| !shares.is_empty()))
}

fn networks_in(typed: &str) -> Result<Vec<Network>, String> {
    let words = typed.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty());
    let networks: Vec<Network> = words
        .map(|word| word.parse::<Network>().map_err(|wrong| format!("{}.", upper_first(&wrong.to_string()))))
        .collect::<Result<_, String>>()?;
    match networks.len() {
        0..=NETWORKS_MAX => Ok(networks),
        _ => Err(format!("Enter at most {NETWORKS_MAX} addresses and networks.")),
    }
}

fn upper_first(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn known() -> BTreeSet<String> {
        BTreeSet::from(["books".to_owned(), "my share".to_owned()])
    }

    fn typed() -> KeyForm {
        let scopes = Scopes::from_iter([Scope::Links]);
        KeyForm { name: "Build".to_owned(), scopes, ..KeyForm::default() }
    }

    #[test]
    fn empty_fields_mean_no_limit() {
        let terms = typed().check(&known(), false, NOW).unwrap();
        assert_eq!((terms.ends_at, terms.shares, terms.networks), (None, None, Vec::new()));
        let all = KeyForm {
            days: " 30 ".to_owned(),
            shares: "/books/, my share\nbooks".to_owned(),
            networks: "10.0.0.0/8,192.0.2.7\n2001:db8::/32".to_owned(),
            ..typed()
        };
        let terms = all.check(&known(), false, NOW).unwrap();
        assert_eq!(terms.ends_at, Some(Timestamp::from_secs(NOW.secs() + 30 * 86_400)));
        assert_eq!((terms.shares, terms.networks.len()), (Some(known()), 3));
    }

    #[test]
    fn each_wrong_field_has_its_sentence() {
        let wrong = KeyForm {
            name: " ".to_owned(),
            scopes: Scopes::default(),
            days: "0".to_owned(),
            shares: "books, other".to_owned(),
            networks: "10.0.0.1/8".to_owned(),
        };
        let errors = wrong.check(&known(), false, NOW).unwrap_err();
        assert!(errors.name.is_some() && errors.scopes.is_some() && errors.days.is_some());
        assert!(errors.shares.is_some_and(|text| text.contains("other")));
        assert!(errors.networks.is_some_and(|text| text.starts_with('`') && text.contains("10.0.0.0/8")));
        let admin = KeyForm { scopes: Scopes::from_iter([Scope::Admin]), ..typed() };
        assert!(admin.check(&known(), false, NOW).is_err() && admin.check(&known(), true, NOW).is_ok());
        for days in ["-1", "1.5", "3651", "99999999999999999999"] {
            assert!(
                KeyForm { days: days.to_owned(), ..typed() }.check(&known(), false, NOW).is_err(),
                "{days}"
            );
        }
        let many = KeyForm { networks: "192.0.2.7 ".repeat(21), ..typed() };
        assert!(many.check(&known(), false, NOW).is_err());
    }
}
