//! Identifiers: [`Jti`] for tokens, [`FilePath`] for files. Both are parsed once, at the edge, and are always
//! valid afterwards.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::secret::{RandomError, random_bytes};

/// A token's unique id (RFC 7519 section 4.1.7): 128 random bits, written as 22 characters of base64url. It
/// can be used once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Jti([u8; 16]);

/// The text is not the 22-character base64url form of 16 bytes.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a jti must be 22 characters of base64url")]
pub struct InvalidJti;

impl Jti {
    /// Creates a random id.
    ///
    /// # Errors
    /// If the operating system provides no random bytes.
    pub fn random() -> Result<Jti, RandomError> {
        Ok(Jti(random_bytes()?))
    }

    /// Converts an id that was read from a store.
    pub const fn from_bytes(bytes: [u8; 16]) -> Jti {
        Jti(bytes)
    }

    /// Returns the 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl FromStr for Jti {
    type Err = InvalidJti;

    fn from_str(text: &str) -> Result<Jti, InvalidJti> {
        let mut bytes = [0; 16];
        // The engine refuses padding and spare bits, so each jti has only one encoding.
        match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
            Ok(16) => Ok(Jti(bytes)),
            _ => Err(InvalidJti),
        }
    }
}

impl fmt::Display for Jti {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Jti {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Jti {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Jti {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Jti, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Declares an id that is opaque text: 128 random bits in base64url if created here, and any text if read
/// from a store or presented by a client.
macro_rules! opaque_id {
    ($(#[$about:meta])* $name:ident) => {
        $(#[$about])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(Box<str>);

        impl $name {
            /// Creates a random id.
            ///
            /// # Errors
            /// If the operating system provides no random bytes.
            pub fn random() -> Result<$name, crate::secret::RandomError> {
                Ok($name(crate::secret::Secret::random::<16>()?.reveal().into()))
            }

            /// Converts an id that was read from a store or a verified token, or presented by a client.
            pub fn from_store(text: &str) -> $name {
                $name(text.into())
            }

            /// Returns the id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

pub(crate) use opaque_id;

opaque_id! {
    /// The id of a link that someone shared. It isn't part of the link's address.
    LinkId
}

opaque_id! {
    /// The id of one of a link's recipients.
    RecipientId
}

opaque_id! {
    /// The id of a file request. It isn't part of the request's address.
    RequestId
}

opaque_id! {
    /// The id of someone who sends files to a file request.
    GuestId
}

opaque_id! {
    /// The id of an email in the queue, which is part of its `Message-ID`.
    MailId
}

/// A hosted file or folder: `/{share}/{path}` in UTF-8, the `file` claim. Compared byte by byte, without
/// normalization, because file systems normalize differently.
///
/// Invariant: starts with `/`, has a share name, no empty, `.`, `..` or [`is_reserved`] component, and no
/// NUL. Each component has at most 255 bytes, the whole path at most 4,096.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePath(Box<str>);

/// The text is not a valid [`FilePath`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFilePath {
    /// It doesn't start with a slash.
    #[error("a file path must start with a slash")]
    Relative,
    /// A component is empty, `.` or `..`, or the path ends with a slash.
    #[error("a file path can't have an empty, `.` or `..` component")]
    Component,
    /// It is longer than file systems allow.
    #[error("a file path can have at most 4096 bytes, and each component at most 255")]
    Length,
    /// It contains a NUL character.
    #[error("a file path can't contain NUL")]
    Nul,
    /// A component is the name of a folder that is reserved for the service.
    #[error("a file path can't contain `.oncelink`")]
    Ours,
}

/// Returns whether a file system might take `name` for `.oncelink`, the folder for unfinished uploads and the
/// trash. Some file systems ignore case, invisible characters, or trailing dots and spaces.
pub fn is_reserved(name: &str) -> bool {
    let seen = name.trim_end_matches(['.', ' ']).chars().filter(|c| c.is_ascii() || c.is_alphanumeric());
    seen.flat_map(char::to_lowercase).eq(".oncelink".chars())
}

/// Maximum length of a path (Linux's PATH_MAX) and of a file name (NAME_MAX), in bytes.
const PATH_MAX: usize = 4096;
const NAME_MAX: usize = 255;

impl FilePath {
    /// Returns the share's name: the first component.
    pub fn share(&self) -> &str {
        self.components().next().unwrap_or_default()
    }

    /// Returns the part after the share's name, without a leading slash; empty for the share's root.
    pub fn within_share(&self) -> &str {
        self.0.strip_prefix('/').and_then(|path| path.split_once('/')).map_or("", |(_, rest)| rest)
    }

    /// Returns the last component: the file's name (or the share's name for its root).
    pub fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(_, name)| name)
    }

    /// Returns the components, the share's name first.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.strip_prefix('/').unwrap_or_default().split('/')
    }

    /// Returns the whole path, such as `/books/a.pdf`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the parent folder; `None` for a share's root.
    pub fn parent(&self) -> Option<FilePath> {
        let (parent, _) = self.0.rsplit_once('/')?;
        (!parent.is_empty()).then(|| FilePath(parent.into()))
    }

    /// Returns whether this is `folder` or something in it.
    pub fn is_within(&self, folder: &FilePath) -> bool {
        self.0.strip_prefix(&*folder.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Returns the path of the entry `name` in this folder.
    ///
    /// # Errors
    /// If `name` isn't a single, valid component.
    pub fn join(&self, name: &str) -> Result<FilePath, InvalidFilePath> {
        if name.contains('/') {
            return Err(InvalidFilePath::Component);
        }
        check_component(name)?;
        let path = [&self.0, "/", name].concat();
        if path.len() > PATH_MAX {
            return Err(InvalidFilePath::Length);
        }
        Ok(FilePath(path.into()))
    }
}

fn check_component(name: &str) -> Result<(), InvalidFilePath> {
    match name {
        "" | "." | ".." => Err(InvalidFilePath::Component),
        _ if name.len() > NAME_MAX => Err(InvalidFilePath::Length),
        _ if name.contains('\0') => Err(InvalidFilePath::Nul),
        _ if is_reserved(name) => Err(InvalidFilePath::Ours),
        _ => Ok(()),
    }
}

impl FromStr for FilePath {
    type Err = InvalidFilePath;

    fn from_str(text: &str) -> Result<FilePath, InvalidFilePath> {
        let path = text.strip_prefix('/').ok_or(InvalidFilePath::Relative)?;
        if text.len() > PATH_MAX {
            return Err(InvalidFilePath::Length);
        }
        path.split('/').try_for_each(check_component)?;
        Ok(FilePath(text.into()))
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Escaped, so that a name with line breaks can't forge a log line; without quotes, because a JSON log line
/// adds them anyway.
impl fmt::Debug for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_debug())
    }
}

impl Serialize for FilePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for FilePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<FilePath, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Component, Path};

    use proptest::prelude::*;

    use super::*;

    /// Components of paths, including hostile ones.
    fn parts() -> impl Strategy<Value = Vec<String>> {
        let part = prop_oneof![
            4 => "[a-zA-Z0-9._ -]{1,8}",
            2 => any::<String>(),
            1 => prop::sample::select(vec!["", ".", "..", ".oncelink", ".OnceLink. ", "a\0", "我这一辈子.pdf", "..."])
                .prop_map(str::to_owned),
            1 => (200_usize..300).prop_map(|len| "x".repeat(len)),
        ];
        prop::collection::vec(part, 0..6)
    }

    proptest! {
        #[test]
        fn a_path_is_written_as_it_was_read_and_leads_below_its_share(parts in parts()) {
            let text = format!("/{}", parts.join("/"));
            let Ok(path) = text.parse::<FilePath>() else { return Ok(()) };
            prop_assert_eq!(path.as_str(), &text);
            let json = serde_json::to_string(&path).unwrap();
            prop_assert_eq!(serde_json::from_str::<FilePath>(&json).unwrap(), path.clone());
            let names: Vec<&str> = path.components().collect();
            let system: Vec<_> = Path::new(&text).components().collect();
            let normal = names.iter().map(|name| Component::Normal(name.as_ref()));
            prop_assert_eq!(system, std::iter::once(Component::RootDir).chain(normal).collect::<Vec<_>>());
            prop_assert!(!names.iter().any(|name| is_reserved(name)));
            prop_assert_eq!(path.share(), names[0]);
            prop_assert_eq!(path.within_share(), names[1..].join("/"));
            match path.parent() {
                Some(parent) => prop_assert_eq!(parent.join(path.name()), Ok(path)),
                None => prop_assert_eq!(names.len(), 1),
            }
        }

        #[test]
        fn joining_makes_what_parsing_takes(parts in parts(), name in any::<String>()) {
            let folder = format!("/share/{}", parts.join("/"));
            let Ok(folder) = folder.parse::<FilePath>() else { return Ok(()) };
            let text = format!("{folder}/{name}");
            let joined = folder.join(&name);
            prop_assert_eq!(joined.is_ok(), text.parse::<FilePath>().is_ok() && !name.contains('/'));
            if let Ok(joined) = joined {
                prop_assert_eq!((joined.as_str(), joined.name()), (text.as_str(), name.as_str()));
                prop_assert_eq!(joined.parent(), Some(folder));
            }
        }
    }

    #[test]
    fn a_jti_has_one_spelling() {
        let jti = Jti::random().unwrap();
        assert_eq!(jti.to_string().len(), 22);
        assert_eq!(jti.to_string().parse(), Ok(jti));
        for wrong in [
            "",
            "AAAAAAAAAAAAAAAAAAAAAB",
            "AAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAAA==",
            "AAAAAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAA+AAAAAAAAAA",
        ] {
            assert_eq!(wrong.parse::<Jti>(), Err(InvalidJti), "{wrong:?}");
        }
    }

    #[test]
    fn a_file_path_has_a_share_and_no_way_out() {
        let path: FilePath = "/books/cn/我这一辈子.pdf".parse().unwrap();
        assert_eq!(
            (path.share(), path.within_share(), path.name()),
            ("books", "cn/我这一辈子.pdf", "我这一辈子.pdf")
        );
        assert_eq!(path.parent().unwrap().parent().unwrap().as_str(), "/books");
        assert_eq!("/books".parse::<FilePath>().unwrap().parent(), None);
        for (folder, within) in [("/books", true), ("/books/cn", true), ("/books/c", false), ("/book", false)]
        {
            assert_eq!(path.is_within(&folder.parse().unwrap()), within, "{folder}");
        }
        assert!(path.is_within(&path) && !path.parent().unwrap().is_within(&path));
        let odd: FilePath = "/books/two\nlines".parse().unwrap();
        assert_eq!(format!("{odd:?}"), "/books/two\\nlines", "one line of the log, and no quotes of its own");
        for wrong in ["", "books/a", "/", "//a", "/books/", "/books//a", "/books/../x", "/./a", "/books/a\0b"]
        {
            assert!(wrong.parse::<FilePath>().is_err(), "{wrong:?}");
        }
        for ours in [
            "/b/.oncelink",
            "/b/.oncelink/uploads/x",
            "/b/x/.OnceLink",
            "/.oncelink/a",
            "/b/.oncelin\u{212a}/a",
            "/b/.once\u{200b}link",
            "/b/.oncelink./a",
            "/b/.oncelink ",
        ] {
            assert_eq!(ours.parse::<FilePath>(), Err(InvalidFilePath::Ours), "{ours:?}");
        }
        assert!("/b/oncelink/.oncelinks/x.oncelink".parse::<FilePath>().is_ok());
        assert_eq!(format!("/b/{}", "x".repeat(256)).parse::<FilePath>(), Err(InvalidFilePath::Length));
        assert!(format!("/b/{}", "x".repeat(255)).parse::<FilePath>().is_ok());
    }
}
