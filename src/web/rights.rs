//! Who may read which share. The only maker of a [`Readable`]: no handler lists or hands out
//! anything without one.

use std::collections::BTreeMap;

use crate::config::ShareSettings;
use crate::id::FilePath;
use crate::web::account::Account;

/// A file or folder that somebody's rights were checked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readable {
    path: FilePath,
}

impl Readable {
    /// Where it is. Whether there is anything is another question.
    pub const fn path(&self) -> &FilePath {
        &self.path
    }

    /// Something within the same share, which the same right covers; `None` when `path` is in
    /// another share.
    pub fn within(&self, path: FilePath) -> Option<Readable> {
        (path.share() == self.path.share()).then_some(Readable { path })
    }
}

/// The rights of all shares.
#[derive(Clone, Debug)]
pub struct Rights {
    shares: BTreeMap<String, Readers>,
}

#[derive(Clone, Debug, Default)]
struct Readers {
    everyone: bool,
    groups: Vec<String>,
    /// E-mail addresses as [`crate::web::account::Email::key`] has them.
    accounts: Vec<String>,
}

impl Rights {
    /// The rights that the settings give.
    pub fn new(shares: &[ShareSettings]) -> Rights {
        let readers = |share: &ShareSettings| {
            let mut readers = Readers::default();
            for reader in &share.read {
                match reader.trim() {
                    "everyone" => readers.everyone = true,
                    // A group's name never has an `@`.
                    account if account.contains('@') => readers.accounts.push(account.to_lowercase()),
                    group => readers.groups.push(group.to_owned()),
                }
            }
            readers
        };
        Rights { shares: shares.iter().map(|share| (share.name.clone(), readers(share))).collect() }
    }

    /// `path`, if its share exists and `account` may read it. Both refusals look alike, so that
    /// nobody learns which shares there are. An administrator has no right of his own here.
    pub fn readable(&self, account: &Account, path: FilePath) -> Option<Readable> {
        self.may_read(account, path.share()).then_some(Readable { path })
    }

    /// The shares that `account` may read, by name.
    pub fn shares_of(&self, account: &Account) -> Vec<String> {
        self.shares.keys().filter(|share| self.may_read(account, share)).cloned().collect()
    }

    fn may_read(&self, account: &Account, share: &str) -> bool {
        self.shares.get(share).is_some_and(|readers| {
            readers.everyone
                || readers.groups.iter().any(|group| account.groups.contains(group))
                || readers.accounts.iter().any(|email| email == account.email.key())
        })
    }
}
