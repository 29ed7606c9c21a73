//! What survives a restart: API keys, budgets, freezes, acts on their way to the audit and small settings, in SQLite
//! (one node) or PostgreSQL (several).
//!
//! Typed rows come in and go out; the meaning of a row belongs to the module that keeps it here. There is one SQL
//! text and one code path for both databases, through sqlx's `Any` driver, which speaks only TEXT, BIGINT, DOUBLE
//! and BYTEA. Every statement is bounded in time and the pool in connections; a store that does not answer is an
//! error for the caller to judge, never a wait without end. It never holds a secret in the clear: keys are hashes.

mod actor;
mod acts;
mod budgets;
mod freezes;
mod keys;
mod open;
#[cfg(test)]
#[path = "../../tests/it/support/postgres.rs"]
pub(crate) mod postgres;
mod remembered;
mod seal;
mod settings;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::time::Duration;

use sqlx::{Any, AnyPool, Transaction};
use tokio_util::task::TaskTracker;

pub use actor::Actor;
pub use acts::{Act, WaitingAct};
pub use budgets::{BudgetRow, SeenRecord};
pub use freezes::FreezeRow;
pub use keys::KeyRow;
pub use open::{Config, Location};
pub use remembered::RememberedRow;
pub use seal::{Seal, SealError};

/// A store that is open. Cheap to clone; all clones share one pool.
#[derive(Clone, Debug)]
pub struct Store {
    connections: Connections,
    operation_timeout: Duration,
    tasks: TaskTracker,
}

/// What an operation works with.
#[derive(Clone, Debug)]
struct Connections {
    pool: AnyPool,
    begin: &'static str,
}

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be opened: the path, the address, the rights or the schema.
    #[error("the store at {place} cannot be opened: {reason}")]
    Open {
        /// Where it is, without credentials.
        place: String,
        /// What went wrong.
        reason: String,
    },
    /// The database refused or cannot be reached.
    #[error("the store is unavailable")]
    Unavailable(#[source] sqlx::Error),
    /// The database did not answer in time.
    #[error("the store did not answer within {0:?}")]
    Timeout(Duration),
    /// Something of this name is there already.
    #[error("`{0}` exists already")]
    Exists(String),
    /// A bound of the store is reached.
    #[error("the store holds no more than {0} {1}")]
    Full(usize, &'static str),
}

impl Store {
    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.run(async |at| sqlx::query("SELECT 1").execute(&at.pool).await.map(drop)).await
    }

    /// Waits for what is under way and closes all connections; what is asked afterwards fails.
    pub async fn close(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        self.connections.pool.close().await;
    }

    /// Runs one operation within the stated time, as a task of its own: a statement that is abandoned half-way takes
    /// its connection with it, and callers who hang up must not be able to wear out the pool.
    async fn run<T, F>(&self, operation: impl FnOnce(Connections) -> F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, sqlx::Error>> + Send + 'static,
    {
        let bounded = tokio::time::timeout(self.operation_timeout, operation(self.connections.clone()));
        match self.tasks.spawn(bounded).await {
            Ok(Ok(done)) => done.map_err(StoreError::Unavailable),
            Ok(Err(_)) | Err(_) => Err(StoreError::Timeout(self.operation_timeout)),
        }
    }

    /// Keeps everybody else from writing until it is dropped.
    #[cfg(test)]
    pub(crate) async fn write_lock(&self) -> Transaction<'static, Any> {
        self.connections.begin().await.unwrap()
    }
}

impl Connections {
    /// A transaction that may write. SQLite takes the write lock at once: a lock taken later, after a read, fails
    /// without waiting when another writer was faster.
    async fn begin(&self) -> Result<Transaction<'static, Any>, sqlx::Error> {
        self.pool.begin_with(self.begin).await
    }
}
