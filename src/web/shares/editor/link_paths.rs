//! Links follow their files: when a file or folder is renamed or moved, the paths in links change with it, in the
//! transaction that records the move.

use sqlx::{Any, Transaction};

use crate::id::FilePath;
use crate::web::accounts::rows;
use crate::web::identity::AccountId;
use crate::web::shares::editor::moved_path::MovedPath;
use crate::web::shares::rights::Rights;

/// Changes the paths of links to `from`, and to anything below it, to what they are now that it is at `to`. A
/// link whose owner may not read the new place keeps its path, so that its file is missing: moving a file must
/// not reveal where it went.
///
/// What was downloaded through a link keeps counting as the same file.
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
    // In a fixed order, so that two moves never wait for each other's accounts.
    let find = "SELECT DISTINCT links.account FROM links JOIN link_files ON link_files.link = links.id \
         WHERE link_files.path = $1 OR SUBSTR(link_files.path, 1, CAST($2 AS INTEGER)) = $3 \
         ORDER BY links.account";
    let owners = moved_path.owners(transaction, find).await?;
    for owner in owners {
        let id = AccountId::from_store(&owner);
        // A press on the button of a link takes this lock, too.
        rows::lock(transaction, &id).await?;
        let account = rows::find(transaction, &id).await?;
        if account.is_none_or(|account| rights.readable(&account, to.clone()).is_none()) {
            continue;
        }
        for update in [
            "UPDATE link_files SET path = $1 || SUBSTR(path, CAST($2 AS INTEGER)) \
             WHERE (path = $3 OR SUBSTR(path, 1, CAST($4 AS INTEGER)) = $5) \
             AND link IN (SELECT id FROM links WHERE account = $6)",
            "UPDATE link_tokens SET path = $1 || SUBSTR(path, CAST($2 AS INTEGER)) \
             WHERE (path = $3 OR SUBSTR(path, 1, CAST($4 AS INTEGER)) = $5) \
             AND use_id IN (SELECT link_uses.id FROM link_uses \
             JOIN recipients ON recipients.id = link_uses.recipient \
             JOIN links ON links.id = recipients.link WHERE links.account = $6)",
            // What is still being uploaded for a link arrives where the link leads now.
            "UPDATE uploads SET folder = $1 || SUBSTR(folder, CAST($2 AS INTEGER)) \
             WHERE (folder = $3 OR SUBSTR(folder, 1, CAST($4 AS INTEGER)) = $5) \
             AND state = 'running' AND link IN (SELECT id FROM links WHERE account = $6)",
        ] {
            moved_path.update(transaction, update, &owner).await?;
        }
    }
    Ok(())
}
