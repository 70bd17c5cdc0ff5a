//! `oncelink clock reset`: starts over with the clock's current time after it was ahead for a while.
//! Everything issued earlier is refused from then on, so nothing works twice. The signing keys are replaced,
//! so that tokens signed with a future date don't become valid when that date comes.

use std::path::Path;

use crate::cli::error::CliError;
use crate::cli::output::{print, remark};
use crate::clock::{Clock, Timestamp, WrongClock};
use crate::config::{Settings, StoreKind, is_address};
use crate::download::receipts;
use crate::human::counted;
use crate::server::ServeError;
use crate::server::data_dir::{DataDir, kept_time};
use crate::used_tokens::UsedTokens;
use crate::used_tokens::redis::RedisUsedTokens;
use crate::used_tokens::sled::SledUsedTokens;
use crate::used_tokens::sql::SqlUsedTokens;
use crate::web::db::Database;
use crate::web::instance;
use crate::web::services::WebOpenError;
use crate::web::time_reset;
use crate::web::tokens::signer;

/// What is wrong with the time in each place.
struct Found {
    store: Option<WrongClock>,
    database: Option<WrongClock>,
    kept: Option<WrongClock>,
}

pub(super) async fn run(settings: &Settings) -> Result<(), CliError> {
    let data_dir = DataDir::hold_alone(&settings.data_dir).map_err(ServeError::from)?;
    let now = Clock::wall().now();
    let found = look(settings, now).await?;
    let Some(worst) = [found.store, found.database, found.kept].into_iter().flatten().max_by_key(|w| w.mark)
    else {
        remark(&format!("nothing to reset: no record is later than the clock's time, {now}"));
        return Ok(());
    };
    if found.store.is_some() {
        reset_store(settings, now).await?;
        print("used tokens: reset; every link issued earlier is refused\n")?;
    }
    receipts::reset_time(&settings.download_dir(), now).await.map_err(ServeError::ReceiptsTime)?;
    if found.database.is_some() || settings.database_file().exists() {
        let sessions = time_reset::reset(settings, settings, now).await?;
        print(&format!("accounts: reset; {} ended\n", counted(sessions, "session")))?;
    }
    if settings.keys_dir().join("keys.json").exists() {
        let kid = replace_keys(settings, now).await?;
        print(&format!("keys: {kid} is the new signing key; no earlier key is valid any more\n"))?;
    }
    // Last, so that an interrupted reset is repeated completely.
    data_dir.keep_time(now).map_err(ServeError::from)?;
    remark(&format!("the time is now {now} (before: {}); start the services again", worst.mark));
    if !is_address(&settings.download.keys) {
        remark(&format!(
            "download services that read {} need `oncelink keys export`",
            settings.download.keys
        ));
    }
    remark("links created in the meantime keep their expiry dates, and log entries keep their times");
    Ok(())
}

async fn look(settings: &Settings, now: Timestamp) -> Result<Found, CliError> {
    let leeway = settings.token.leeway;
    let judge = |mark: Timestamp| WrongClock::judge(now, mark, leeway);
    Ok(Found {
        store: store_mark(settings, now).await?.and_then(judge),
        database: time_reset::wrong(settings, settings, now).await?,
        kept: kept_time(&settings.data_dir).and_then(judge),
    })
}

/// Returns the latest time that the used-token store recorded; `None` if there is no store yet.
async fn store_mark(settings: &Settings, now: Timestamp) -> Result<Option<Timestamp>, CliError> {
    // A separate clock, so that the recorded time doesn't become the time of this process.
    let clock = Clock::manual(now);
    let address = &settings.download.used_tokens;
    let mark = match address.kind() {
        StoreKind::Postgres => {
            let store = SqlUsedTokens::connect(address, &clock, None).await;
            let store = store.map_err(ServeError::SharedStore)?;
            store.close().await;
            store.opened_mark()
        }
        StoreKind::Redis => {
            let store = RedisUsedTokens::connect(address, &clock, None).await;
            let store = store.map_err(ServeError::SharedStore)?;
            store.close().await;
            store.opened_mark()
        }
        StoreKind::Embedded if has_store(&settings.used_tokens_dir()) => {
            let store = SledUsedTokens::open(&settings.used_tokens_dir(), &clock, None);
            let store = store.map_err(ServeError::from)?;
            store.close().await;
            store.opened_mark()
        }
        StoreKind::Embedded => return Ok(None),
    };
    Ok(Some(mark))
}

/// Creates a new signing key, removes all others, and records this in the database. Returns the new key's id.
async fn replace_keys(settings: &Settings, now: Timestamp) -> Result<String, CliError> {
    let mut signing = String::new();
    for key in signer::list(&settings.keys_dir())? {
        signing = signer::remove(&settings.keys_dir(), &key.kid, now)?;
    }
    if settings.web.database.is_shared() || settings.database_file().exists() {
        let db = Database::open(settings).await.map_err(WebOpenError::from)?;
        instance::signs_now(&db, &signing).await?;
        db.close().await;
    }
    Ok(signing)
}

async fn reset_store(settings: &Settings, now: Timestamp) -> Result<(), CliError> {
    let address = &settings.download.used_tokens;
    match address.kind() {
        StoreKind::Postgres => {
            let store = SqlUsedTokens::connect(address, &Clock::manual(now), None).await;
            let store = store.map_err(ServeError::SharedStore)?;
            store.reset_time(now).await.map_err(ServeError::SharedStore)?;
            store.close().await;
        }
        StoreKind::Redis => {
            let store = RedisUsedTokens::connect(address, &Clock::manual(now), None).await;
            let store = store.map_err(ServeError::SharedStore)?;
            store.reset_time(now).await.map_err(ServeError::SharedStore)?;
            store.close().await;
        }
        StoreKind::Embedded => {
            SledUsedTokens::reset_time(&settings.used_tokens_dir(), now).map_err(ServeError::from)?;
        }
    }
    Ok(())
}

fn has_store(dir: &Path) -> bool {
    dir.is_dir()
}
