//! API keys as they are kept: a hash of the secret, never the secret.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::acts::{Act, full_of_acts, insert_act};
use super::{Store, StoreError};

/// One API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// The public part of the key.
    pub id: String,
    /// A hash of the secret part.
    pub hash: Vec<u8>,
    /// What its owner calls it.
    pub name: String,
    /// Whom it stands for, as JSON; `identity` knows its form.
    pub details: String,
    /// Microseconds since 1970.
    pub created_at: i64,
    /// From when it is refused.
    pub expires_at: Option<i64>,
    /// Since when it is refused.
    pub revoked_at: Option<i64>,
    /// When it was last used, as far as has been written.
    pub last_used_at: Option<i64>,
    /// The change of the table that this row was last part of. Given by the store.
    pub revision: i64,
}

impl Store {
    /// Adds a key; its `revision` is given here.
    pub async fn add_key(&self, key: &KeyRow, act: &Act) -> Result<(), StoreError> {
        let count = sqlx::query("SELECT COUNT(*) FROM api_keys");
        let held: i64 = self.run(async |at| count.fetch_one(&at.pool).await?.try_get(0)).await?;
        if usize::try_from(held).unwrap_or(usize::MAX) >= MAX_KEYS {
            return Err(StoreError::Full(MAX_KEYS, "keys"));
        }
        let (row, act) = (key.clone(), act.clone());
        let adding = self.run(async move |at| {
            let mut transaction = at.begin().await?;
            let revision: i64 = sqlx::query(NEXT_REVISION).fetch_one(&mut *transaction).await?.try_get(0)?;
            inserted(row, revision).execute(&mut *transaction).await?;
            if !insert_act(&mut transaction, &act).await? {
                return Ok(false);
            }
            transaction.commit().await?;
            Ok(true)
        });
        let added = adding.await.map_err(|error| match error {
            StoreError::Unavailable(sqlx::Error::Database(e)) if e.is_unique_violation() => {
                StoreError::Exists(key.id.clone())
            }
            other => other,
        });
        if added? { Ok(()) } else { Err(full_of_acts()) }
    }

    /// Adds a key in place of another one, which is refused from a time on, or earlier if it says so itself. `false`:
    /// there is no such other one that is in force now, and nothing was added.
    pub async fn replace_key(
        &self,
        old: &str,
        until: i64,
        key: &KeyRow,
        act: &Act,
    ) -> Result<bool, StoreError> {
        let (old, row, act) = (old.to_owned(), key.clone(), act.clone());
        let replacing = self.run(async move |at| {
            let mut transaction = at.begin().await?;
            let revision: i64 = sqlx::query(NEXT_REVISION).fetch_one(&mut *transaction).await?.try_get(0)?;
            let ending = sqlx::query(
                "UPDATE api_keys SET revision = $1, \
                 expires_at = CASE WHEN expires_at IS NULL OR expires_at > $2 THEN $2 ELSE expires_at END \
                 WHERE id = $3 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $4)",
            )
            .bind(revision)
            .bind(until)
            .bind(old)
            .bind(row.created_at)
            .execute(&mut *transaction)
            .await?;
            if ending.rows_affected() != 1 {
                return Ok(Some(false));
            }
            let revision: i64 = sqlx::query(NEXT_REVISION).fetch_one(&mut *transaction).await?.try_get(0)?;
            inserted(row, revision).execute(&mut *transaction).await?;
            if !insert_act(&mut transaction, &act).await? {
                return Ok(None);
            }
            transaction.commit().await?;
            Ok(Some(true))
        });
        replacing.await?.ok_or_else(full_of_acts)
    }

    /// Marks a key as revoked. `false`: there is no such key, or it was revoked before.
    pub async fn revoke_key(&self, id: &str, when: i64, act: &Act) -> Result<bool, StoreError> {
        let (id, act) = (id.to_owned(), act.clone());
        let revoking = self.run(async move |at| {
            let mut transaction = at.begin().await?;
            let revision: i64 = sqlx::query(NEXT_REVISION).fetch_one(&mut *transaction).await?.try_get(0)?;
            let done = sqlx::query(
                "UPDATE api_keys SET revoked_at = $1, revision = $2 WHERE id = $3 AND revoked_at IS NULL",
            )
            .bind(when)
            .bind(revision)
            .bind(id)
            .execute(&mut *transaction)
            .await?;
            if done.rows_affected() != 1 {
                return Ok(Some(false));
            }
            if !insert_act(&mut transaction, &act).await? {
                return Ok(None);
            }
            transaction.commit().await?;
            Ok(Some(true))
        });
        revoking.await?.ok_or_else(full_of_acts)
    }

    /// The keys changed after a revision, in the order of their changes. With 0: all.
    pub async fn keys_since(&self, revision: i64) -> Result<Vec<KeyRow>, StoreError> {
        let query = sqlx::query(
            "SELECT id, hash, name, details, created_at, expires_at, revoked_at, last_used_at, revision \
             FROM api_keys WHERE revision > $1 ORDER BY revision",
        )
        .bind(revision);
        self.run(async |at| query.fetch_all(&at.pool).await?.iter().map(key_row).collect()).await
    }

    /// Writes when keys were last used; an older time never replaces a newer one.
    pub async fn touch_keys(&self, used: &[(String, i64)]) -> Result<(), StoreError> {
        let used = used.to_vec();
        self.run(async move |at| {
            let mut transaction = at.begin().await?;
            for (id, when) in used {
                sqlx::query(
                    "UPDATE api_keys SET last_used_at = $1 \
                     WHERE id = $2 AND (last_used_at IS NULL OR last_used_at < $1)",
                )
                .bind(when)
                .bind(id)
                .execute(&mut *transaction)
                .await?;
            }
            transaction.commit().await
        })
        .await
    }
}

fn inserted(row: KeyRow, revision: i64) -> sqlx::query::Query<'static, sqlx::Any, sqlx::any::AnyArguments> {
    sqlx::query(
        "INSERT INTO api_keys (id, hash, name, details, created_at, expires_at, revoked_at, \
         last_used_at, revision) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(row.id)
    .bind(row.hash)
    .bind(row.name)
    .bind(row.details)
    .bind(row.created_at)
    .bind(row.expires_at)
    .bind(row.revoked_at)
    .bind(row.last_used_at)
    .bind(revision)
}

fn key_row(row: &AnyRow) -> Result<KeyRow, sqlx::Error> {
    Ok(KeyRow {
        id: row.try_get(0)?,
        hash: row.try_get(1)?,
        name: row.try_get(2)?,
        details: row.try_get(3)?,
        created_at: row.try_get(4)?,
        expires_at: row.try_get(5)?,
        revoked_at: row.try_get(6)?,
        last_used_at: row.try_get(7)?,
        revision: row.try_get(8)?,
    })
}

/// Taken inside the transaction that makes the change: the row's lock makes revisions visible in their order.
const NEXT_REVISION: &str = "UPDATE counters SET value = value + 1 WHERE name = 'api_keys' RETURNING value";

/// A gateway holds all keys in memory (about half a kilobyte each).
const MAX_KEYS: usize = 100_000;
