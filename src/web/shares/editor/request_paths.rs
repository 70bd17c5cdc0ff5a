//! File requests follow their folders: when a folder is renamed or moved, the paths in requests change with it,
//! in the transaction that records the move, and so do the paths of what their guests are sending.

use sqlx::{Any, Transaction};

use crate::id::FilePath;
use crate::web::accounts::rows;
use crate::web::identity::AccountId;
use crate::web::shares::editor::moved_path::MovedPath;
use crate::web::shares::rights::Rights;

/// Changes the folders of file requests that are `from`, or below it, to what they are now that it is at `to`.
/// A request whose account may not write to the new place keeps its path, so that its folder is missing:
/// moving a folder must not let others write where they may not.
///
/// # Errors
/// If the database fails.
pub(super) async fn follow(
    transaction: &mut Transaction<'static, Any>,
    rights: &Rights,
    from: &str,
    to: &FilePath,
) -> Result<(), sqlx::Error> {
    let moved_path = MovedPath::new(from, to);
    let is_same_share = from.split('/').nth(1) == Some(to.share());
    let find = "SELECT DISTINCT account FROM file_requests \
         WHERE folder = $1 OR SUBSTR(folder, 1, CAST($2 AS INTEGER)) = $3";
    let owners = moved_path.owners(transaction, find).await?;
    for owner in owners {
        let id = AccountId::from_store(&owner);
        // Not locked: the right is checked again when a file arrives, in the new place as well.
        let account = rows::find(transaction, &id).await?;
        if account.is_none_or(|account| rights.writable(&account, to.clone()).is_none()) {
            continue;
        }
        let updates = [
            "UPDATE file_requests SET folder = $1 || SUBSTR(folder, CAST($2 AS INTEGER)) \
             WHERE (folder = $3 OR SUBSTR(folder, 1, CAST($4 AS INTEGER)) = $5) AND account = $6",
            "UPDATE uploads SET folder = $1 || SUBSTR(folder, CAST($2 AS INTEGER)) \
             WHERE (folder = $3 OR SUBSTR(folder, 1, CAST($4 AS INTEGER)) = $5) AND account = $6 \
             AND guest <> '' AND state = 'running'",
        ];
        // What is on its way to another share has its bytes on the disk of this one, and arrives in the old place.
        let moved = if is_same_share { updates.len() } else { 1 };
        for update in updates.into_iter().take(moved) {
            moved_path.update(transaction, update, &owner).await?;
        }
    }
    Ok(())
}
