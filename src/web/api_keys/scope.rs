//! What a key may do.

use std::fmt;
use std::str::FromStr;

use crate::words::{UnknownWord, words};

words! {
    /// Something that a key may do. A released word never changes its meaning.
    pub enum Scope {
        /// List shares and folders.
        FilesRead = "files:read",
        /// Upload, create folders, move and delete.
        FilesWrite = "files:write",
        /// Make and manage the account's links.
        Links = "links",
        /// Make and manage the account's file requests.
        Requests = "requests",
        /// Issue download tokens.
        Tokens = "tokens",
        /// Manage the account's webhooks.
        Webhooks = "webhooks",
        /// What administrators can do.
        Admin = "admin",
    }
}

/// A set of scopes. Written as their words, separated by spaces.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// Adds a scope.
    pub fn insert(&mut self, scope: Scope) {
        self.0 |= bit(scope);
    }

    /// Returns whether a scope is among them.
    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & bit(scope) != 0
    }

    /// Returns whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns them in a fixed order.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.contains(*scope))
    }
}

const fn bit(scope: Scope) -> u8 {
    1 << scope as u8
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Scopes {
        let mut all = Scopes::default();
        scopes.into_iter().for_each(|scope| all.insert(scope));
        all
    }
}

impl FromStr for Scopes {
    type Err = UnknownWord;

    fn from_str(words: &str) -> Result<Scopes, UnknownWord> {
        words.split_whitespace().map(str::parse).collect()
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, scope) in self.iter().enumerate() {
            write!(f, "{}{}", if at > 0 { " " } else { "" }, scope.as_str())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_written_in_one_order_and_read_back() {
        let scopes: Scopes = " tokens  files:read tokens ".parse().unwrap();
        assert_eq!(scopes.to_string(), "files:read tokens");
        assert!(scopes.contains(Scope::Tokens) && !scopes.contains(Scope::FilesWrite));
        assert_eq!("files:read files".parse::<Scopes>(), Err(UnknownWord));
        let all: Scopes = Scope::ALL.into_iter().collect();
        assert_eq!(all.to_string().parse(), Ok(all));
        assert!("".parse::<Scopes>().unwrap().is_empty());
    }
}
