//! Budgets as they are kept: what of a window has been reserved, and which records were given.
//!
//! A change of a budget is a compare-and-swap on its version, so that any number of gateways share one budget and
//! none of them ever gives out what another has reserved.

use sqlx::{AssertSqlSafe, Row};

use super::{Store, StoreError};

/// What is reserved of one limit for one subject.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BudgetRow {
    /// The slots of the window, in the form `limits` writes.
    pub slots: String,
    /// Goes up with each change; 0 means that there is no row yet.
    pub version: i64,
}

/// One record that was given to a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeenRecord {
    /// A keyed hash of the record's resource and key.
    pub record: i64,
    /// The time slot in which it was last given.
    pub slot: i64,
}

impl Store {
    /// What is reserved; an empty row of version 0 if nothing was.
    pub async fn budget(&self, limit: &str, subject: &str) -> Result<BudgetRow, StoreError> {
        let query = sqlx::query("SELECT slots, version FROM budgets WHERE limit_key = $1 AND subject = $2")
            .bind(limit.to_owned())
            .bind(subject.to_owned());
        self.run(async |at| match query.fetch_optional(&at.pool).await? {
            Some(row) => Ok(BudgetRow { slots: row.try_get(0)?, version: row.try_get(1)? }),
            None => Ok(BudgetRow::default()),
        })
        .await
    }

    /// Replaces what is reserved if nobody has changed it since version `seen` was read, and remembers records as given
    /// (a known one moves to the later slot; none may stand there twice): both or neither. `false`: somebody has.
    pub async fn swap_budget(
        &self,
        limit: &str,
        subject: &str,
        seen: i64,
        slots: &str,
        expires_at: i64,
        records: &[SeenRecord],
    ) -> Result<bool, StoreError> {
        // A new row starts at a version above any that a removed row of the same name can have had.
        let swap = if seen == 0 {
            sqlx::query(
                "INSERT INTO budgets (limit_key, subject, slots, version, expires_at) \
                 VALUES ($1, $2, $3, $4, $4) ON CONFLICT (limit_key, subject) DO NOTHING",
            )
        } else {
            sqlx::query(
                "UPDATE budgets SET slots = $3, version = version + 1, expires_at = $4 \
                 WHERE limit_key = $1 AND subject = $2 AND version = $5",
            )
        };
        let swap =
            swap.bind(limit.to_owned()).bind(subject.to_owned()).bind(slots.to_owned()).bind(expires_at);
        let swap = if seen == 0 { swap } else { swap.bind(seen) };
        if records.is_empty() {
            return self.run(async |at| Ok(swap.execute(&at.pool).await?.rows_affected() == 1)).await;
        }
        let (limit, subject, records) = (limit.to_owned(), subject.to_owned(), records.to_vec());
        self.run(async move |at| {
            let mut transaction = at.begin().await?;
            if swap.execute(&mut *transaction).await?.rows_affected() != 1 {
                transaction.rollback().await?;
                return Ok(false);
            }
            for batch in records.chunks(SEEN_BATCH) {
                let mut query = sqlx::query(AssertSqlSafe(insert_seen(batch.len())));
                query = query.bind(limit.clone()).bind(subject.clone()).bind(expires_at);
                for seen in batch {
                    query = query.bind(seen.record).bind(seen.slot);
                }
                query.execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
            Ok(true)
        })
        .await
    }

    /// The records given in slots after `slot`, at most `cap` of them, the latest first.
    pub async fn seen_records(
        &self,
        limit: &str,
        subject: &str,
        slot: i64,
        cap: usize,
    ) -> Result<Vec<SeenRecord>, StoreError> {
        let query = sqlx::query(
            "SELECT record, slot FROM budget_records \
             WHERE limit_key = $1 AND subject = $2 AND slot > $3 ORDER BY slot DESC LIMIT $4",
        )
        .bind(limit.to_owned())
        .bind(subject.to_owned())
        .bind(slot)
        .bind(i64::try_from(cap).unwrap_or(i64::MAX));
        self.run(async |at| {
            let rows = query.fetch_all(&at.pool).await?;
            rows.iter().map(|row| Ok(SeenRecord { record: row.try_get(0)?, slot: row.try_get(1)? })).collect()
        })
        .await
    }

    /// Removes what no window can contain any more.
    pub async fn prune_budgets(&self, now: i64) -> Result<(), StoreError> {
        self.run(async move |at| {
            for statement in [
                "DELETE FROM budgets WHERE expires_at < $1",
                "DELETE FROM budget_records WHERE expires_at < $1",
            ] {
                sqlx::query(statement).bind(now).execute(&at.pool).await?;
            }
            Ok(())
        })
        .await
    }
}

/// An upsert of so many records; it holds placeholders and no values.
fn insert_seen(records: usize) -> String {
    let rows: Vec<String> =
        (0..records).map(|n| format!("($1, $2, ${}, ${}, $3)", n * 2 + 4, n * 2 + 5)).collect();
    format!(
        "INSERT INTO budget_records (limit_key, subject, record, slot, expires_at) VALUES {} \
         ON CONFLICT (limit_key, subject, record) DO UPDATE SET \
         slot = CASE WHEN excluded.slot > budget_records.slot THEN excluded.slot ELSE budget_records.slot END, \
         expires_at = CASE WHEN excluded.expires_at > budget_records.expires_at \
         THEN excluded.expires_at ELSE budget_records.expires_at END",
        rows.join(", ")
    )
}

/// Rows of one statement.
const SEEN_BATCH: usize = 200;
