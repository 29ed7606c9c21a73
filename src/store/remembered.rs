//! What answers let a principal refer to later: cursors and jobs, by hashes.

use sqlx::Row;

use super::{Store, StoreError};

/// Something that may be referred to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RememberedRow {
    /// A hash of whom, what, and under which policy.
    pub id: String,
    /// A hash of whom.
    pub owner: String,
    /// What it stands for; `grants` knows its form.
    pub bound: String,
    /// Microseconds since 1970.
    pub expires_at: i64,
}

impl Store {
    /// Remembers. What is known already lasts longer; if it stood for something else, it stands for nothing from now
    /// on. Of one owner the latest are kept.
    pub async fn remember(&self, row: &RememberedRow, now: i64) -> Result<(), StoreError> {
        let row = row.clone();
        let full = self.run(async move |at| {
            let mut transaction = at.begin().await?;
            sqlx::query("DELETE FROM remembered WHERE expires_at <= $1")
                .bind(now)
                .execute(&mut *transaction)
                .await?;
            let held: i64 = sqlx::query("SELECT COUNT(*) FROM remembered")
                .fetch_one(&mut *transaction)
                .await?
                .try_get(0)?;
            if held >= MAX_REMEMBERED {
                transaction.rollback().await?;
                return Ok(true);
            }
            sqlx::query(
                "INSERT INTO remembered (id, owner, bound, expires_at) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at, bound = \
                 CASE WHEN remembered.bound = excluded.bound THEN remembered.bound ELSE '' END",
            )
            .bind(row.id)
            .bind(row.owner.clone())
            .bind(row.bound)
            .bind(row.expires_at)
            .execute(&mut *transaction)
            .await?;
            sqlx::query(
                "DELETE FROM remembered WHERE owner = $1 AND id NOT IN \
                 (SELECT id FROM remembered WHERE owner = $1 ORDER BY expires_at DESC, id LIMIT $2)",
            )
            .bind(row.owner)
            .bind(MAX_OF_ONE_OWNER)
            .execute(&mut *transaction)
            .await?;
            transaction.commit().await?;
            Ok(false)
        });
        if full.await? { Err(StoreError::Full(MAX_REMEMBERED as usize, "cursors")) } else { Ok(()) }
    }

    /// What something stands for, if it is remembered and stands for one thing.
    pub async fn remembered(&self, id: &str, now: i64) -> Result<Option<String>, StoreError> {
        let query =
            sqlx::query("SELECT bound FROM remembered WHERE id = $1 AND expires_at > $2 AND bound <> ''")
                .bind(id.to_owned())
                .bind(now);
        self.run(async |at| query.fetch_optional(&at.pool).await?.map(|row| row.try_get(0)).transpose()).await
    }
}

/// About a quarter of a kilobyte each.
const MAX_REMEMBERED: i64 = 1_000_000;
const MAX_OF_ONE_OWNER: i64 = 1_000;

#[cfg(test)]
mod tests {
    use super::super::{Config, Location};
    use super::*;

    fn row(id: &str, bound: &str, expires_at: i64) -> RememberedRow {
        RememberedRow { id: id.into(), owner: "o".into(), bound: bound.into(), expires_at }
    }

    #[tokio::test]
    async fn what_stands_for_two_things_stands_for_none() {
        let store = Store::open(&Config::new(Location::Memory)).await.unwrap();
        store.remember(&row("a", "x", 100), 1).await.unwrap();
        store.remember(&row("a", "x", 200), 1).await.unwrap();
        assert_eq!(store.remembered("a", 150).await.unwrap().as_deref(), Some("x"));
        assert_eq!(store.remembered("a", 200).await.unwrap(), None, "it has ended");
        assert_eq!(store.remembered("b", 1).await.unwrap(), None);
        store.remember(&row("a", "y", 300), 1).await.unwrap();
        assert_eq!(store.remembered("a", 1).await.unwrap(), None);
        store.remember(&row("a", "y", 300), 1).await.unwrap();
        assert_eq!(store.remembered("a", 1).await.unwrap(), None, "also later");
    }

    #[tokio::test]
    async fn of_one_owner_the_latest_are_kept() {
        let store = Store::open(&Config::new(Location::Memory)).await.unwrap();
        for index in 0..MAX_OF_ONE_OWNER + 3 {
            store.remember(&row(&index.to_string(), "x", 1_000 + index), 1).await.unwrap();
        }
        assert_eq!(store.remembered("2", 1).await.unwrap(), None);
        assert!(store.remembered("3", 1).await.unwrap().is_some());
    }
}
