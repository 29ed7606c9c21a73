//! Acts of administration on their way to the audit.
//!
//! Who changes something puts the act beside the change, in the same transaction: there is no change without its act,
//! and no act without its change. Whoever writes the audit takes acts from here and removes each when its record is on
//! the disk. A claim is set before an act is written, so that of several gateways one does it, and so that after a
//! crash it is known which acts may be written already.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::{Any, Row, Transaction};
use uuid::Uuid;

use crate::base::fresh_id;

use super::{Actor, Store, StoreError};

/// Something that an administrator did, or the gateway in its own right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// Its own name: the record of the audit carries it, so that an act is never recorded twice.
    pub id: Uuid,
    /// When it was done, by the clock of the machine it was done on.
    pub time: Timestamp,
    /// What was done: `keys.create`, `freeze`, …
    pub action: String,
    /// Who did it.
    pub actor: Actor,
    /// To what or whom.
    pub target: String,
    /// Why, as the actor says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What else is to be known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
    /// Keyed hashes of values that it is about. Never a value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// An act that is not known to be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingAct {
    /// Its name.
    pub id: String,
    /// What it is; `None`: this version cannot read it.
    pub act: Option<Act>,
    /// Who has begun to write it; empty: nobody.
    pub claim: String,
    /// When that was, in microseconds since 1970.
    pub claimed_at: i64,
}

impl Act {
    /// An act on something, done now.
    pub fn new(action: &str, actor: Actor, target: &str, now: Timestamp) -> Self {
        Self {
            id: fresh_id(now),
            time: now,
            action: action.to_owned(),
            actor,
            target: target.to_owned(),
            reason: None,
            facts: BTreeMap::new(),
            values: Vec::new(),
        }
    }

    /// Adds a fact.
    #[must_use]
    pub fn with(mut self, name: &str, text: impl Into<String>) -> Self {
        self.facts.insert(name.to_owned(), text.into());
        self
    }
}

#[cfg(test)]
impl Act {
    pub(crate) fn for_tests() -> Self {
        let actor = Actor { user: "root".to_owned(), login: None, host: "test".to_owned() };
        Self::new("test", actor, "nothing", Timestamp::UNIX_EPOCH)
    }
}

#[cfg(test)]
impl Store {
    /// Puts in what no version of this program writes.
    pub(crate) async fn put_act_text(&self, id: &str, content: &str) {
        let query = sqlx::query("INSERT INTO acts (id, content, claim, claimed_at) VALUES ($1, $2, '', 0)")
            .bind(id.to_owned())
            .bind(content.to_owned());
        self.run(async |at| query.execute(&at.pool).await.map(drop)).await.unwrap();
    }
}

impl Store {
    /// Puts acts in that change nothing here: such as a look at something. All of them or none.
    pub async fn add_acts(&self, acts: &[Act]) -> Result<(), StoreError> {
        let acts = acts.to_vec();
        let full = self.run(async move |at| {
            let mut transaction = at.begin().await?;
            for act in &acts {
                if !insert_act(&mut transaction, act).await? {
                    return Ok(true);
                }
            }
            transaction.commit().await?;
            Ok(false)
        });
        if full.await? { Err(full_of_acts()) } else { Ok(()) }
    }

    /// The acts that are not known to be recorded, the earliest first, at most `most` of them.
    pub async fn acts(&self, most: usize) -> Result<Vec<WaitingAct>, StoreError> {
        let query = sqlx::query("SELECT id, content, claim, claimed_at FROM acts ORDER BY id LIMIT $1")
            .bind(i64::try_from(most).unwrap_or(i64::MAX));
        self.run(async |at| {
            let rows = query.fetch_all(&at.pool).await?;
            let read = rows.iter().map(|row| {
                let content: String = row.try_get(1)?;
                let id = row.try_get(0)?;
                let act = serde_json::from_str(&content).ok().filter(|act: &Act| act.id.to_string() == id);
                Ok(WaitingAct { act, id, claim: row.try_get(2)?, claimed_at: row.try_get(3)? })
            });
            read.collect()
        })
        .await
    }

    /// How many acts are not known to be recorded.
    pub async fn count_acts(&self) -> Result<u64, StoreError> {
        let count = sqlx::query("SELECT COUNT(*) FROM acts");
        let held: i64 = self.run(async |at| count.fetch_one(&at.pool).await?.try_get(0)).await?;
        Ok(u64::try_from(held).unwrap_or_default())
    }

    /// Whether an act is not known to be recorded.
    pub async fn act_waits(&self, id: &str) -> Result<bool, StoreError> {
        let query = sqlx::query("SELECT 1 FROM acts WHERE id = $1").bind(id.to_owned());
        self.run(async |at| Ok(query.fetch_optional(&at.pool).await?.is_some())).await
    }

    /// Claims an act, if nobody has since its claim was read. `false`: somebody has, or it is recorded.
    pub async fn claim_act(&self, id: &str, seen: &str, claim: &str, now: i64) -> Result<bool, StoreError> {
        let query = sqlx::query("UPDATE acts SET claim = $1, claimed_at = $2 WHERE id = $3 AND claim = $4")
            .bind(claim.to_owned())
            .bind(now)
            .bind(id.to_owned())
            .bind(seen.to_owned());
        self.run(async |at| Ok(query.execute(&at.pool).await?.rows_affected() == 1)).await
    }

    /// Removes an act: its record is on the disk.
    pub async fn act_recorded(&self, id: &str) -> Result<(), StoreError> {
        let query = sqlx::query("DELETE FROM acts WHERE id = $1").bind(id.to_owned());
        self.run(async |at| query.execute(&at.pool).await.map(drop)).await
    }
}

/// Puts an act beside a change. `false`: too many wait already, and the change must not be made.
pub(super) async fn insert_act(
    transaction: &mut Transaction<'static, Any>,
    act: &Act,
) -> Result<bool, sqlx::Error> {
    let waiting: i64 =
        sqlx::query("SELECT COUNT(*) FROM acts").fetch_one(&mut **transaction).await?.try_get(0)?;
    if usize::try_from(waiting).unwrap_or(usize::MAX) >= MAX_ACTS {
        return Ok(false);
    }
    insert_act_always(transaction, act).await?;
    Ok(true)
}

/// The same for what must not fail for want of room: it is bounded by what it stands beside.
pub(super) async fn insert_act_always(
    transaction: &mut Transaction<'static, Any>,
    act: &Act,
) -> Result<(), sqlx::Error> {
    let content = serde_json::to_string(act).map_err(|error| sqlx::Error::Encode(error.into()))?;
    sqlx::query("INSERT INTO acts (id, content, claim, claimed_at) VALUES ($1, $2, '', 0)")
        .bind(act.id.to_string())
        .bind(content)
        .execute(&mut **transaction)
        .await
        .map(drop)
}

pub(super) fn full_of_acts() -> StoreError {
    StoreError::Full(MAX_ACTS, "acts that wait for the audit")
}

/// Nobody writes the audit if so many wait.
pub(super) const MAX_ACTS: usize = 10_000;
