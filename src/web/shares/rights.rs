//! Who may read, write and manage which share; each right includes the ones before it. Only this module
//! creates [`Readable`], [`Writable`] and [`Manageable`], and no handler lists, serves, accepts or changes
//! files without one.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::ShareSettings;
use crate::id::{FilePath, InvalidFilePath};
use crate::web::identity::Account;

/// A file or folder that an account may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readable {
    path: FilePath,
}

impl Readable {
    /// Returns the path. It may not exist.
    pub const fn path(&self) -> &FilePath {
        &self.path
    }

    /// Returns another path in the same share, which the same right covers; `None` if `path` is in another
    /// share.
    pub fn within(&self, path: FilePath) -> Option<Readable> {
        (path.share() == self.path.share()).then_some(Readable { path })
    }
}

/// A folder in which an account may create files and folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writable {
    path: FilePath,
}

impl Writable {
    /// Returns the path. It may not exist.
    pub const fn path(&self) -> &FilePath {
        &self.path
    }

    /// Returns the path of `name` in this folder, which the same right covers.
    ///
    /// # Errors
    /// If `name` is not a single valid component.
    pub fn join(&self, name: &str) -> Result<Writable, InvalidFilePath> {
        Ok(Writable { path: self.path.join(name)? })
    }
}

/// A file or folder that an account may rename, move, delete and restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manageable {
    path: FilePath,
}

impl Manageable {
    /// Returns the path. It may not exist.
    pub const fn path(&self) -> &FilePath {
        &self.path
    }
}

/// What an account may do in a share; each right includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// View and download.
    Read,
    /// Upload, and create folders.
    Write,
    /// Rename, move, delete, restore.
    Manage,
}

/// The rights in all shares.
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
    /// Email addresses in the form of [`crate::web::identity::Email::key`].
    accounts: Vec<String>,
}

impl People {
    fn new(names: &[String]) -> People {
        let mut people = People::default();
        for name in names {
            match name.trim() {
                "everyone" => people.everyone = true,
                // Names of groups never contain an `@`.
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
    /// Reads the rights from the settings.
    pub fn new(shares: &[ShareSettings]) -> Rights {
        let lists = |share: &ShareSettings| Lists {
            read: People::new(&share.read),
            write: People::new(&share.write),
            manage: People::new(&share.manage),
        };
        Rights { shares: shares.iter().map(|share| (share.name.clone(), lists(share))).collect() }
    }

    /// Returns the groups that any share names.
    pub fn groups(&self) -> BTreeSet<&str> {
        let lists = self.shares.values().flat_map(|lists| [&lists.read, &lists.write, &lists.manage]);
        lists.flat_map(|people| &people.groups).map(String::as_str).collect()
    }

    /// Returns `path` if its share exists and `account` may read it. Both refusals look the same, so that
    /// nobody learns which shares exist. Administrators have no special rights here.
    pub fn readable(&self, account: &Account, path: FilePath) -> Option<Readable> {
        self.may(account, path.share(), Right::Read).then_some(Readable { path })
    }

    /// Returns the folder `path` if `account` may write there.
    pub fn writable(&self, account: &Account, path: FilePath) -> Option<Writable> {
        self.may(account, path.share(), Right::Write).then_some(Writable { path })
    }

    /// Returns `path` if `account` may manage it. The root of a share can't be managed; it belongs to the
    /// operator.
    pub fn manageable(&self, account: &Account, path: FilePath) -> Option<Manageable> {
        let within = path.parent().is_some();
        (within && self.may(account, path.share(), Right::Manage)).then_some(Manageable { path })
    }

    /// Returns the highest right of `account` in `share`; `None` if it has none or the share doesn't exist.
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

    /// Returns the names of the shares that `account` may read.
    pub fn shares_of(&self, account: &Account) -> Vec<String> {
        self.shares_with(account, Right::Read)
    }

    /// Returns the names of the shares in which `account` has at least this right.
    pub fn shares_with(&self, account: &Account, least: Right) -> Vec<String> {
        self.shares.keys().filter(|share| self.may(account, share, least)).cloned().collect()
    }

    fn may(&self, account: &Account, share: &str, least: Right) -> bool {
        self.highest(account, share).is_some_and(|most| most >= least)
    }
}
