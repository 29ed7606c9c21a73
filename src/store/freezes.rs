//! Who is frozen: gets nothing, whatever the policy says, until somebody lifts it.

use sqlx::Row;

use super::acts::{Act, full_of_acts, insert_act, insert_act_always};
use super::{Store, StoreError};

/// One principal that is frozen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreezeRow {
    /// Who vouches for it; empty: whoever does.
    pub issuer: String,
    /// Its id.
    pub subject: String,
    /// Since when, in microseconds since 1970.
    pub since: i64,
    /// What froze it: `limit NAME`, or `command`.
    pub cause: String,
    /// Why, as somebody said; empty if nobody did.
    pub reason: String,
}

impl Store {
    /// Freezes a principal, with the act that tells of it. `false`: it is frozen already, and nothing was written.
    pub async fn freeze(&self, freeze: &FreezeRow, act: &Act) -> Result<bool, StoreError> {
        let (row, act) = (freeze.clone(), act.clone());
        let freezing = self.run(async move |at| {
            let mut transaction = at.begin().await?;
            let frozen: i64 =
                sqlx::query("SELECT COUNT(*) FROM freezes").fetch_one(&mut *transaction).await?.try_get(0)?;
            if usize::try_from(frozen).unwrap_or(usize::MAX) >= MAX_FREEZES {
                return Ok(None);
            }
            let done = sqlx::query(
                "INSERT INTO freezes (issuer, subject, since, cause, reason) VALUES ($1, $2, $3, $4, $5) \
                 ON CONFLICT (issuer, subject) DO NOTHING",
            )
            .bind(row.issuer)
            .bind(row.subject)
            .bind(row.since)
            .bind(row.cause)
            .bind(row.reason)
            .execute(&mut *transaction)
            .await?;
            if done.rows_affected() != 1 {
                return Ok(Some(false));
            }
            sqlx::query(NEXT_REVISION).execute(&mut *transaction).await?;
            // Nobody goes unfrozen because the audit is behind.
            insert_act_always(&mut transaction, &act).await?;
            transaction.commit().await?;
            Ok(Some(true))
        });
        freezing.await?.ok_or(StoreError::Full(MAX_FREEZES, "frozen principals"))
    }

    /// Lifts a freeze, with the act that tells of it. `false`: there is none.
    pub async fn unfreeze(&self, issuer: &str, subject: &str, act: &Act) -> Result<bool, StoreError> {
        let (issuer, subject, act) = (issuer.to_owned(), subject.to_owned(), act.clone());
        let lifting = self.run(async move |at| {
            let mut transaction = at.begin().await?;
            let done = sqlx::query("DELETE FROM freezes WHERE issuer = $1 AND subject = $2")
                .bind(issuer)
                .bind(subject)
                .execute(&mut *transaction)
                .await?;
            if done.rows_affected() != 1 {
                return Ok(Some(false));
            }
            sqlx::query(NEXT_REVISION).execute(&mut *transaction).await?;
            if !insert_act(&mut transaction, &act).await? {
                return Ok(None);
            }
            transaction.commit().await?;
            Ok(Some(true))
        });
        lifting.await?.ok_or_else(full_of_acts)
    }

    /// A number that changes with every freeze and every lift.
    pub async fn freezes_revision(&self) -> Result<i64, StoreError> {
        let query = sqlx::query("SELECT value FROM counters WHERE name = 'freezes'");
        self.run(async |at| query.fetch_one(&at.pool).await?.try_get(0)).await
    }

    /// All who are frozen, the earliest first.
    pub async fn freezes(&self) -> Result<Vec<FreezeRow>, StoreError> {
        let query = sqlx::query(
            "SELECT issuer, subject, since, cause, reason FROM freezes ORDER BY since, issuer, subject",
        );
        self.run(async |at| {
            let rows = query.fetch_all(&at.pool).await?;
            let read = rows.iter().map(|row| {
                Ok(FreezeRow {
                    issuer: row.try_get(0)?,
                    subject: row.try_get(1)?,
                    since: row.try_get(2)?,
                    cause: row.try_get(3)?,
                    reason: row.try_get(4)?,
                })
            });
            read.collect()
        })
        .await
    }
}

/// Taken inside the transaction that makes the change: who has read a revision has seen all changes up to it.
const NEXT_REVISION: &str = "UPDATE counters SET value = value + 1 WHERE name = 'freezes'";

/// A gateway holds all of them in memory.
const MAX_FREEZES: usize = 100_000;

#[cfg(test)]
impl Store {
    /// Makes writing a freeze fail, or mends it.
    pub(crate) async fn break_freezes(&self, broken: bool) {
        let (from, to) = if broken { ("freezes", "gone") } else { ("gone", "freezes") };
        let rename = sqlx::AssertSqlSafe(format!("ALTER TABLE {from} RENAME TO {to}"));
        self.run(async |at| sqlx::query(rename).execute(&at.pool).await.map(drop)).await.unwrap();
    }
}
