//! Who may read, write and manage which share; each right includes the ones before it. Only this module
//! creates [`Readable`], [`Writable`] and [`Manageable`], and no handler lists, serves, accepts or changes
//! files without one.
//!
//! In a personal share, each account has its own folder, called *My files* and named after the account's id.
//! The account has all rights in that folder and none outside of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::ShareSettings;
use crate::id::{FilePath, InvalidFilePath};
use crate::reloadable::Reloadable;
use crate::web::identity::Account;

/// A file or folder that an account may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readable {
    path: FilePath,
    /// What the same right covers: the share, or the account's own folder in a personal share.
    root: FilePath,
}

impl Readable {
    /// Returns the path. It may not exist.
    pub const fn path(&self) -> &FilePath {
        &self.path
    }

    /// Returns the topmost folder that the same right covers.
    pub const fn root(&self) -> &FilePath {
        &self.root
    }

    /// Returns another path that the same right covers; `None` if it doesn't.
    pub fn within(&self, path: FilePath) -> Option<Readable> {
        path.is_within(&self.root).then(|| Readable { path, root: self.root.clone() })
    }
}

/// A folder in which an account may create files and folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writable {
    path: FilePath,
    /// The account's own folder, if the path is in it.
    home: Option<FilePath>,
}

impl Writable {
    /// Returns the path. It may not exist.
    pub const fn path(&self) -> &FilePath {
        &self.path
    }

    /// Returns the account's own folder, if the path is in it. It is created when something is first put
    /// there.
    pub const fn home(&self) -> Option<&FilePath> {
        self.home.as_ref()
    }

    /// Returns the path of `name` in this folder, which the same right covers.
    ///
    /// # Errors
    /// If `name` is not a single valid component.
    pub fn join(&self, name: &str) -> Result<Writable, InvalidFilePath> {
        Ok(Writable { path: self.path.join(name)?, home: self.home.clone() })
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

impl Right {
    /// Returns the right in one word.
    pub const fn word(self) -> &'static str {
        match self {
            Right::Read => "read",
            Right::Write => "write",
            Right::Manage => "manage",
        }
    }
}

/// Who has which rights to a share.
#[derive(Clone, Debug)]
pub struct ShareRights {
    /// The name of the share.
    pub name: String,
    /// Whether each account has a folder of its own in it.
    pub is_personal: bool,
    /// Everyone, then groups, then accounts, each with the highest right.
    pub people: Vec<(String, Right)>,
}

/// The rights in all shares.
///
/// Clones share them, so that a change of the settings applies everywhere at once.
#[derive(Clone, Debug)]
pub struct Rights {
    shares: Reloadable<BTreeMap<String, Lists>>,
}

#[derive(Clone, Debug)]
struct Lists {
    /// Whether each account has its own folder in it. `read` then says who has one.
    is_personal: bool,
    read: People,
    write: People,
    manage: People,
}

impl Lists {
    /// Returns everyone who is named, with their highest right.
    fn people(&self) -> Vec<(String, Right)> {
        let lists = [(&self.manage, Right::Manage), (&self.write, Right::Write), (&self.read, Right::Read)];
        let mut highest: BTreeMap<(u8, String), Right> = BTreeMap::new();
        for (people, right) in lists {
            // In their own folders people may do everything.
            let right = if self.is_personal { Right::Manage } else { right };
            let everyone = people.everyone.then(|| (0, "everyone".to_owned()));
            let groups = people.groups.iter().map(|group| (1, group.clone()));
            let accounts = people.accounts.iter().map(|account| (2, account.clone()));
            for who in everyone.into_iter().chain(groups).chain(accounts) {
                highest.entry(who).or_insert(right);
            }
        }
        // What everyone may do needs no further mention.
        let for_all = highest.get(&(0, "everyone".to_owned())).copied();
        let more = highest.into_iter().filter(|((kind, _), right)| *kind == 0 || Some(*right) > for_all);
        more.map(|((_, who), right)| (who, right)).collect()
    }
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
        Rights { shares: Reloadable::new(Rights::read(shares)) }
    }

    /// Uses the rights in these settings from now on.
    pub fn replace(&self, shares: &[ShareSettings]) {
        self.shares.replace(Rights::read(shares));
    }

    fn read(shares: &[ShareSettings]) -> BTreeMap<String, Lists> {
        let lists = |share: &ShareSettings| Lists {
            is_personal: share.personal,
            read: People::new(&share.read),
            write: People::new(&share.write),
            manage: People::new(&share.manage),
        };
        shares.iter().map(|share| (share.name.clone(), lists(share))).collect()
    }

    /// Returns the rights to each share, by its name.
    pub fn overview(&self) -> Vec<ShareRights> {
        let shares = self.shares.current();
        let rights = |(name, lists): (&String, &Lists)| ShareRights {
            name: name.clone(),
            is_personal: lists.is_personal,
            people: lists.people(),
        };
        shares.iter().map(rights).collect()
    }

    /// Returns the groups that any share names.
    pub fn groups(&self) -> BTreeSet<String> {
        let shares = self.shares.current();
        let lists = shares.values().flat_map(|lists| [&lists.read, &lists.write, &lists.manage]);
        lists.flat_map(|people| &people.groups).cloned().collect()
    }

    /// Returns the account's own folder, *My files*, if it has one. It may not exist on disk yet.
    pub fn home(&self, account: &Account) -> Option<FilePath> {
        let shares = self.shares.current();
        let (share, lists) = shares.iter().find(|(_, lists)| lists.is_personal)?;
        lists.read.include(account).then(|| home_in(share, account)).flatten()
    }

    /// Returns `path` if its share exists and `account` may read it. Both refusals look the same, so that
    /// nobody learns which shares exist. Administrators have no special rights here.
    pub fn readable(&self, account: &Account, path: FilePath) -> Option<Readable> {
        let root = self.root_of(account, &path)?;
        self.may(account, &path, Right::Read).then_some(Readable { path, root })
    }

    /// Returns the folder `path` if `account` may write there.
    pub fn writable(&self, account: &Account, path: FilePath) -> Option<Writable> {
        let home = self.home(account).filter(|home| path.is_within(home));
        self.may(account, &path, Right::Write).then_some(Writable { path, home })
    }

    /// Returns `path` if `account` may manage it. The root of a share can't be managed, because it belongs to
    /// the operator, and neither can the account's own folder as a whole.
    pub fn manageable(&self, account: &Account, path: FilePath) -> Option<Manageable> {
        let is_inside = self.root_of(account, &path).is_some_and(|root| root != path);
        (is_inside && self.may(account, &path, Right::Manage)).then_some(Manageable { path })
    }

    /// Returns the highest right of `account` to `path`; `None` if it has none or the share doesn't exist.
    pub fn highest(&self, account: &Account, path: &FilePath) -> Option<Right> {
        let shares = self.shares.current();
        let lists = shares.get(path.share())?;
        if lists.is_personal {
            let home = home_in(path.share(), account)?;
            return (path.is_within(&home) && lists.read.include(account)).then_some(Right::Manage);
        }
        if lists.manage.include(account) {
            Some(Right::Manage)
        } else if lists.write.include(account) {
            Some(Right::Write)
        } else {
            lists.read.include(account).then_some(Right::Read)
        }
    }

    /// Returns the folders in which `account` has at least this right and which nothing that it may read
    /// contains: its own folder first, then the roots of shares by name.
    pub fn roots_with(&self, account: &Account, least: Right) -> Vec<FilePath> {
        let shares = self.shares.current();
        let shared = shares.iter().filter(|(_, lists)| !lists.is_personal);
        let shared = shared.filter_map(|(share, _)| format!("/{share}").parse().ok());
        let shared = shared.filter(|root| self.may(account, root, least));
        self.home(account).into_iter().chain(shared).collect()
    }

    /// Returns the topmost folder that a right to `path` covers.
    fn root_of(&self, account: &Account, path: &FilePath) -> Option<FilePath> {
        match self.shares.current().get(path.share())?.is_personal {
            true => home_in(path.share(), account),
            false => format!("/{}", path.share()).parse().ok(),
        }
    }

    fn may(&self, account: &Account, path: &FilePath, least: Right) -> bool {
        self.highest(account, path).is_some_and(|most| most >= least)
    }
}

/// Returns the account's own folder in a personal share.
fn home_in(share: &str, account: &Account) -> Option<FilePath> {
    format!("/{share}").parse::<FilePath>().ok()?.join(account.id.as_str()).ok()
}
