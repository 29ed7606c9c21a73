//! Making, listing, rotating and revoking the keys of the store: what `fieldgate keys` does.

use std::time::Duration;

use jiff::Timestamp;

use crate::base::Secret;
use crate::store::{Act, KeyRow, Store, StoreError};

use super::config::KeyOwner;
use super::key_text;

/// A key to be made.
pub struct NewKey {
    /// What its owner calls it.
    pub name: String,
    /// Whom it stands for.
    pub owner: KeyOwner,
    /// From when it is refused.
    pub expires: Option<Timestamp>,
}

/// A key that was made.
pub struct IssuedKey {
    /// Its public id.
    pub id: String,
    /// The whole key. It cannot be had again.
    pub text: Secret<String>,
}

/// A key in a list: everything but the secret.
#[derive(Clone, Debug)]
pub struct KeySummary {
    /// Its public id.
    pub id: String,
    /// What its owner calls it.
    pub name: String,
    /// Whom it stands for; `None` if what the store holds cannot be read, and the key opens nothing.
    pub owner: Option<KeyOwner>,
    /// When it was made.
    pub created: Timestamp,
    /// From when it is refused.
    pub expires: Option<Timestamp>,
    /// Since when it is refused.
    pub revoked: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used: Option<Timestamp>,
}

/// Why no key was made.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// A text that is empty, too long, or has characters that cannot be seen.
    #[error("`{0}` is empty, longer than 256 characters, or has control characters")]
    Text(&'static str),
    /// An expiry that is over.
    #[error("the key would have expired already")]
    Expired,
    /// No random numbers from the system.
    #[error("the system gives no random numbers")]
    Random,
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes a key. The secret is in the answer and nowhere else. `act` tells of it; what it was done to is added here.
pub async fn create_key(
    store: &Store,
    new: NewKey,
    act: Act,
    now: Timestamp,
) -> Result<IssuedKey, IssueError> {
    let NewKey { name, owner, expires } = new;
    check("name", &name)?;
    check("principal", &owner.principal)?;
    owner.issuer.iter().try_for_each(|text| check("issuer", text))?;
    owner.name.iter().try_for_each(|text| check("name", text))?;
    owner.groups.iter().try_for_each(|text| check("group", text))?;
    owner.roles.iter().try_for_each(|text| check("role", text))?;
    owner.scopes.iter().try_for_each(|text| check("scope", text))?;
    if expires.is_some_and(|at| at <= now) {
        return Err(IssueError::Expired);
    }
    let key = key_text::generate().map_err(|_| IssueError::Random)?;
    let row = KeyRow {
        id: key.id.clone(),
        hash: key.hash.to_vec(),
        name,
        details: serde_json::to_string(&owner).map_err(|_| IssueError::Text("claims"))?,
        created_at: now.as_microsecond(),
        expires_at: expires.map(|at| at.as_microsecond()),
        revoked_at: None,
        last_used_at: None,
        revision: 0,
    };
    store.add_key(&row, &told(act, &row, &owner)).await?;
    Ok(IssuedKey { id: key.id, text: key.text })
}

/// Makes a key in place of another one: for the same owner, under the same name, and for as long as that one was made
/// for unless `expires` says otherwise. The other one is taken for `overlap` more, so that whoever uses it can change
/// over. `None`: there is none of this id that is in force.
pub async fn rotate_key(
    store: &Store,
    id: &str,
    overlap: Duration,
    expires: Option<Timestamp>,
    act: Act,
    now: Timestamp,
) -> Result<Option<IssuedKey>, IssueError> {
    let Some(old) = store.keys_since(0).await?.into_iter().find(|row| row.id == id) else { return Ok(None) };
    // One that nobody can read opens nothing; a copy of it would not, either.
    let Ok(owner) = serde_json::from_str::<KeyOwner>(&old.details) else { return Ok(None) };
    let now_micros = now.as_microsecond();
    let same_time = old.expires_at.map(|at| now_micros.saturating_add(at.saturating_sub(old.created_at)));
    let expires_at = expires.map(|at| at.as_microsecond()).or(same_time);
    if expires_at.is_some_and(|at| at <= now_micros) {
        return Err(IssueError::Expired);
    }
    let key = key_text::generate().map_err(|_| IssueError::Random)?;
    let row = KeyRow {
        id: key.id.clone(),
        hash: key.hash.to_vec(),
        created_at: now_micros,
        expires_at,
        revoked_at: None,
        last_used_at: None,
        revision: 0,
        ..old
    };
    let overlap = i64::try_from(overlap.as_micros()).unwrap_or(i64::MAX);
    let until = now_micros.saturating_add(overlap);
    let act = told(act, &row, &owner).with("replaces", id).with("replaced_until", time(until).to_string());
    let replaced = store.replace_key(id, until, &row, &act).await?;
    Ok(replaced.then_some(IssuedKey { id: key.id, text: key.text }))
}

/// All keys, also those revoked, in the order of their making.
pub async fn list_keys(store: &Store) -> Result<Vec<KeySummary>, StoreError> {
    let mut keys: Vec<KeySummary> = store.keys_since(0).await?.into_iter().map(summary).collect();
    keys.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
    Ok(keys)
}

/// Revokes a key. `false`: there is none of this id that was not revoked before.
pub async fn revoke_key(store: &Store, id: &str, act: Act, now: Timestamp) -> Result<bool, StoreError> {
    let act = Act { target: id.to_owned(), ..act };
    store.revoke_key(id, now.as_microsecond(), &act).await
}

/// The act of making a key: its id, whom it stands for, what it gives and until when.
fn told(act: Act, row: &KeyRow, owner: &KeyOwner) -> Act {
    let mut act = Act { target: row.id.clone(), ..act }.with("principal", &owner.principal);
    if !row.name.is_empty() {
        act = act.with("name", &row.name);
    }
    if let Some(issuer) = &owner.issuer {
        act = act.with("issuer", issuer);
    }
    let networks: Vec<String> = owner.networks.iter().map(ToString::to_string).collect();
    for (name, list) in [
        ("groups", &owner.groups),
        ("roles", &owner.roles),
        ("scopes", &owner.scopes),
        ("networks", &networks),
    ] {
        if !list.is_empty() {
            act = act.with(name, list.join(" "));
        }
    }
    match row.expires_at {
        Some(at) => act.with("expires", time(at).to_string()),
        None => act,
    }
}

fn summary(row: KeyRow) -> KeySummary {
    KeySummary {
        id: row.id,
        name: row.name,
        owner: serde_json::from_str(&row.details).ok(),
        created: time(row.created_at),
        expires: row.expires_at.map(time),
        revoked: row.revoked_at.map(time),
        last_used: row.last_used_at.map(time),
    }
}

fn time(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MIN)
}

fn check(what: &'static str, text: &str) -> Result<(), IssueError> {
    let fine = !text.is_empty() && text.chars().count() <= 256 && !text.chars().any(char::is_control);
    if fine { Ok(()) } else { Err(IssueError::Text(what)) }
}
