//! What a client says about an upload that it begins: `Upload-Metadata`, `Upload-Length` and `Upload-Concat`.
//!
//! We use the metadata `filename` (or `name`), `folder` (the file path of the destination) and `relativePath`
//! (for a file in a folder that is uploaded whole), and `link` with `item` (for a file that a link waits for: the
//! link's id, and the number of the file). Other metadata is kept and repeated to the client.

use actix_web::http::header::HeaderMap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::id::{FilePath, LinkId};
use crate::web::arrivals::{ExpectedFile, FILES_MAX};
use crate::web::http::files::tus_header::{number, text};
use crate::web::identity::Account;
use crate::web::shares::error::StorageError;
use crate::web::shares::name::FileName;
use crate::web::shares::rights::{Right, Rights, Writable};
use crate::web::uploads::id::UploadId;
use crate::web::uploads::join::MOST_PARTS;
use crate::web::uploads::{NewUpload, UploadPurpose};

/// The maximum size of the metadata; the longest path fits, encoded.
const MOST_METADATA: usize = 16 * 1024;

/// What the client wants to upload.
pub(crate) struct Order {
    metadata: String,
    filename: Option<String>,
    folder: Option<String>,
    relative: Option<String>,
    expected: Option<ExpectedFile>,
    /// Its size (`None` if it will be given later), or what is wrong with the header.
    pub(crate) size: Result<Option<u64>, &'static str>,
    pub(crate) concat: Concat,
}

/// Where an upload may go.
pub(crate) enum Destination<'a> {
    /// Where its sender says, if the account may write there.
    Chosen(&'a Rights, &'a Account),
    /// Into this folder, whatever its sender says.
    Fixed(&'a Writable),
}

/// Whether the upload is joined from parts, or is a part.
pub(crate) enum Concat {
    None,
    Partial,
    Final {
        parts: Vec<UploadId>,
        /// The header as it came.
        header: String,
    },
}

impl Order {
    pub(crate) fn read(headers: &HeaderMap) -> Result<Order, &'static str> {
        let metadata = match headers.get("upload-metadata") {
            None => "",
            Some(value) => value.to_str().map_err(|_| "Upload-Metadata is not ASCII")?,
        };
        let mut order = Order {
            metadata: metadata.to_owned(),
            filename: None,
            folder: None,
            relative: None,
            expected: None,
            size: size(headers),
            concat: concat(headers)?,
        };
        if metadata.len() > MOST_METADATA {
            return Err("Upload-Metadata is too long");
        }
        let mut seen = Vec::new();
        let (mut name, mut link, mut item) = (None, None, None);
        for pair in metadata.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (key, encoded) = pair.split_once(' ').unwrap_or((pair, ""));
            if seen.contains(&key) {
                return Err("Upload-Metadata has a key twice");
            }
            seen.push(key);
            let slot = match key {
                "filename" => &mut order.filename,
                "name" => &mut name,
                "folder" => &mut order.folder,
                "relativePath" => &mut order.relative,
                "link" => &mut link,
                "item" => &mut item,
                _ => continue,
            };
            let bytes = STANDARD.decode(encoded.trim()).map_err(|_| "Upload-Metadata is not base64")?;
            *slot = Some(String::from_utf8(bytes).map_err(|_| "a name in Upload-Metadata is not UTF-8")?);
        }
        order.filename = order.filename.or(name);
        order.expected = match (link, item) {
            (None, None) => None,
            (Some(link), Some(item)) => Some(expected(&link, &item)?),
            _ => return Err("Upload-Metadata has only one of link and item"),
        };
        Ok(order)
    }

    /// Returns the upload to begin, if its sender may write to its destination.
    pub(crate) fn new_upload(
        self,
        to: &Destination<'_>,
        size: Option<u64>,
    ) -> Result<NewUpload, StorageError> {
        match self.concat {
            Concat::Partial => Ok(NewUpload {
                purpose: UploadPurpose::Part { at: self.place(to)? },
                size,
                metadata: self.metadata,
                expected: None,
            }),
            _ => Ok(NewUpload { size, ..self.file(to)? }),
        }
    }

    /// Returns the upload to begin for one that becomes a file.
    pub(crate) fn file(&self, to: &Destination<'_>) -> Result<NewUpload, StorageError> {
        let folder = self.place(to)?;
        let relative = self.relative.as_deref().unwrap_or_default();
        // Some clients write `null` where there is none; a path of one part has no folder either way.
        let mut below: Vec<&str> = relative.trim_start_matches('/').split('/').collect();
        let last = below.pop().unwrap_or_default();
        let below = below.into_iter().map(FileName::uploaded).collect::<Result<Vec<_>, _>>()?;
        let name = self.filename.as_deref().unwrap_or(if below.is_empty() { "" } else { last });
        let purpose = UploadPurpose::File { folder, below, name: FileName::uploaded(name)? };
        let (metadata, expected) = (self.metadata.clone(), self.expected.clone());
        Ok(NewUpload { purpose, size: None, metadata, expected })
    }

    /// Returns the destination. If none is named, that is the account's own folder, or else the only share
    /// that it may write to, or for a part any such share.
    fn place(&self, to: &Destination<'_>) -> Result<Writable, StorageError> {
        let (rights, account) = match *to {
            Destination::Chosen(rights, account) => (rights, account),
            Destination::Fixed(folder) => return Ok(folder.clone()),
        };
        let named = match &self.folder {
            // `team` and `/team/` are what people write for `/team`.
            Some(folder) => format!("/{}", folder.trim_matches('/')).parse().ok(),
            None => {
                let mut roots = rights.roots_with(account, Right::Write).into_iter();
                let first = roots.next();
                let is_home = first.is_some() && first == rights.home(account);
                let is_clear = is_home || matches!(self.concat, Concat::Partial) || roots.next().is_none();
                first.filter(|_| is_clear)
            }
        };
        let path: FilePath = named.ok_or(StorageError::Missing)?;
        rights.writable(account, path).ok_or(StorageError::Missing)
    }
}

/// Reads which file of which link an upload becomes.
fn expected(link: &str, item: &str) -> Result<ExpectedFile, &'static str> {
    let is_id = !link.is_empty() && link.len() <= 64;
    let is_id = is_id && link.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    match item.parse() {
        Ok(item) if is_id && item < FILES_MAX => Ok(ExpectedFile { link: LinkId::from_store(link), item }),
        _ => Err("link or item in Upload-Metadata is not valid"),
    }
}

fn size(headers: &HeaderMap) -> Result<Option<u64>, &'static str> {
    match (number(headers, "upload-length")?, text(headers, "upload-defer-length")) {
        (Some(size), None) => Ok(Some(size)),
        (None, Some("1")) => Ok(None),
        _ => Err("send either Upload-Length or Upload-Defer-Length: 1"),
    }
}

fn concat(headers: &HeaderMap) -> Result<Concat, &'static str> {
    let Some(value) = headers.get("upload-concat") else { return Ok(Concat::None) };
    let header = value.to_str().unwrap_or_default().trim();
    if header == "partial" {
        return Ok(Concat::Partial);
    }
    let list = header.strip_prefix("final;").ok_or("Upload-Concat is neither partial nor final")?;
    let id = |address: &str| address.rsplit('/').next().and_then(|id| id.parse().ok());
    let parts: Option<Vec<UploadId>> = list.split_whitespace().map(id).collect();
    let parts = parts.filter(|parts| (1..=MOST_PARTS).contains(&parts.len()));
    let parts = parts.ok_or("Upload-Concat does not name 1 to 1,000 uploads")?;
    Ok(Concat::Final { parts, header: header.to_owned() })
}
