//! Small named texts: the head of the audit chain, a generated key.

use sqlx::Row;

use super::{Store, StoreError};

impl Store {
    /// The value of a setting.
    pub async fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        let query = sqlx::query("SELECT value FROM settings WHERE name = $1").bind(name.to_owned());
        self.run(async |at| query.fetch_optional(&at.pool).await?.map(|row| row.try_get(0)).transpose()).await
    }

    /// Sets a setting, whether or not it is there.
    pub async fn set_setting(&self, name: &str, value: &str) -> Result<(), StoreError> {
        let query = sqlx::query(
            "INSERT INTO settings (name, value) VALUES ($1, $2) \
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(name.to_owned())
        .bind(value.to_owned());
        self.run(async |at| query.execute(&at.pool).await.map(drop)).await
    }

    /// The value of a setting, which becomes `value` if it is not there: whoever comes first decides for all.
    pub async fn setting_or(&self, name: &str, value: &str) -> Result<String, StoreError> {
        let query =
            sqlx::query("INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
                .bind(name.to_owned())
                .bind(value.to_owned());
        self.run(async |at| query.execute(&at.pool).await.map(drop)).await?;
        Ok(self.setting(name).await?.unwrap_or_else(|| value.to_owned()))
    }
}
