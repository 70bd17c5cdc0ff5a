//! Who may do what in which share: read, write, manage; each includes the one before. The only maker
//! of a [`Readable`], a [`Writable`] and a [`Manageable`]: no handler lists, hands out, takes in or
//! changes anything without one.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::ShareSettings;
use crate::id::{FilePath, InvalidFilePath};
use crate::web::identity::Account;

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

/// A folder into which somebody may put files and folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writable {
    path: FilePath,
}

impl Writable {
    /// Where it is. Whether there is a folder is another question.
    pub const fn path(&self) -> &FilePath {
        &self.path
    }

    /// What is called `name` in this folder, which the same right covers.
    ///
    /// # Errors
    /// When `name` is not a single, allowed component.
    pub fn join(&self, name: &str) -> Result<Writable, InvalidFilePath> {
        Ok(Writable { path: self.path.join(name)? })
    }
}

/// A file or folder that somebody may rename, move, throw away and have back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manageable {
    path: FilePath,
}

impl Manageable {
    /// Where it is. Whether there is anything is another question.
    pub const fn path(&self) -> &FilePath {
        &self.path
    }
}

/// What somebody may do in a share; each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// See and download.
    Read,
    /// Upload, and make folders.
    Write,
    /// Rename, move, throw away, have back.
    Manage,
}

/// The rights of all shares.
#[derive(Clone, Debug)]
pub struct Rights {
    shares: BTreeMap<String, Lists>,
}

#[derive(Clone, Debug)]
struct Lists {
    read: People,
    write: People,
    manage: People,
}

#[derive(Clone, Debug, Default)]
struct People {
    everyone: bool,
    groups: Vec<String>,
    /// E-mail addresses as [`crate::web::identity::Email::key`] has them.
    accounts: Vec<String>,
}

impl People {
    fn new(names: &[String]) -> People {
        let mut people = People::default();
        for name in names {
            match name.trim() {
                "everyone" => people.everyone = true,
                // A group's name never has an `@`.
                account if account.contains('@') => people.accounts.push(account.to_ascii_lowercase()),
                group => people.groups.push(group.to_owned()),
            }
        }
        people
    }

    fn include(&self, account: &Account) -> bool {
        self.everyone
            || self.groups.iter().any(|group| account.groups.contains(group))
            || self.accounts.iter().any(|email| email == account.email.key())
    }
}

impl Rights {
    /// The rights that the settings give.
    pub fn new(shares: &[ShareSettings]) -> Rights {
        let lists = |share: &ShareSettings| Lists {
            read: People::new(&share.read),
            write: People::new(&share.write),
            manage: People::new(&share.manage),
        };
        Rights { shares: shares.iter().map(|share| (share.name.clone(), lists(share))).collect() }
    }

    /// The groups that any share names.
    pub fn groups(&self) -> BTreeSet<&str> {
        let lists = self.shares.values().flat_map(|lists| [&lists.read, &lists.write, &lists.manage]);
        lists.flat_map(|people| &people.groups).map(String::as_str).collect()
    }

    /// `path`, if its share exists and `account` may read it. Both refusals look alike, so that
    /// nobody learns which shares there are. An administrator has no right of his own here.
    pub fn readable(&self, account: &Account, path: FilePath) -> Option<Readable> {
        self.may(account, path.share(), Right::Read).then_some(Readable { path })
    }

    /// The folder `path`, if `account` may write there.
    pub fn writable(&self, account: &Account, path: FilePath) -> Option<Writable> {
        self.may(account, path.share(), Right::Write).then_some(Writable { path })
    }

    /// `path`, if `account` may manage it. A share itself is the operator's.
    pub fn manageable(&self, account: &Account, path: FilePath) -> Option<Manageable> {
        let within = path.parent().is_some();
        (within && self.may(account, path.share(), Right::Manage)).then_some(Manageable { path })
    }

    /// The most that `account` may do in `share`; `None` where there is no such share for him.
    pub fn highest(&self, account: &Account, share: &str) -> Option<Right> {
        let lists = self.shares.get(share)?;
        if lists.manage.include(account) {
            Some(Right::Manage)
        } else if lists.write.include(account) {
            Some(Right::Write)
        } else {
            lists.read.include(account).then_some(Right::Read)
        }
    }

    /// The shares that `account` may read, by name.
    pub fn shares_of(&self, account: &Account) -> Vec<String> {
        self.shares_with(account, Right::Read)
    }

    /// The shares in which `account` may do at least this, by name.
    pub fn shares_with(&self, account: &Account, least: Right) -> Vec<String> {
        self.shares.keys().filter(|share| self.may(account, share, least)).cloned().collect()
    }

    fn may(&self, account: &Account, share: &str, least: Right) -> bool {
        self.highest(account, share).is_some_and(|most| most >= least)
    }
}
