//! The settings of a hosted folder.

use std::path::PathBuf;

use serde::Deserialize;

/// `[[share]]`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShareSettings {
    /// First component of the file path.
    pub name: String,
    /// The folder on disk.
    pub path: PathBuf,
    /// Whether each account has a folder of its own in it, *My files*, which nobody else sees.
    #[serde(default)]
    pub personal: bool,
    /// Who may read, or has a folder of their own in a personal share: `everyone` (logged in), group names or
    /// account names.
    #[serde(default = "everyone")]
    pub read: Vec<String>,
    /// Who may also upload files and create folders.
    #[serde(default)]
    pub write: Vec<String>,
    /// Who may also rename, move and delete; includes the right to write.
    #[serde(default)]
    pub manage: Vec<String>,
    /// Maximum total size of the files uploaded to this share, in bytes; 0 = no limit.
    #[serde(default, deserialize_with = "super::size::deserialize")]
    pub quota: u64,
    /// How to recognize that a file was replaced by another of the same name.
    #[serde(default)]
    pub identity: Identity,
    /// Whether its files are only ever replaced by others, and never written to once they are there. Then all of a
    /// file may be sent from the page cache.
    #[serde(default)]
    pub replaced_only: bool,
}

/// How to recognize that a file of a share was replaced by another of the same name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Identity {
    /// By inode, size, and the times of the last change of the content and of the inode.
    #[default]
    Inode,
    /// Only by size and the time of the last change of the content: for file systems without stable inode
    /// numbers (some in user space), and for nodes that serve copies of the share.
    Time,
}

fn everyone() -> Vec<String> {
    vec!["everyone".to_owned()]
}
