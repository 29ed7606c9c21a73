//! Opening a store: where it is, how it is reached, and its schema.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use sqlx::AnyPool;
use sqlx::ConnectOptions;
use sqlx::Executor;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::Migrator;
use tokio_util::task::TaskTracker;

use crate::base::Secret;

use super::{Connections, Store, StoreError};

/// How a store is opened.
pub struct Config {
    /// Where it is.
    pub location: Location,
    /// Most connections at a time. Ignored in memory, where there is one.
    pub max_connections: u32,
    /// Longest wait for a connection, and for any one operation.
    pub operation_timeout: Duration,
}

/// Where a store is.
pub enum Location {
    /// In this process, gone with it: for tests and the demo.
    Memory,
    /// A SQLite file, made if it is not there (readable by its owner only). One gateway process; commands such as
    /// `fieldgate keys` may work on it at the same time.
    Sqlite(PathBuf),
    /// A PostgreSQL database, `postgres://user:password@host:port/name?sslmode=verify-full&sslrootcert=…`, which
    /// several gateways may share.
    Postgres(Secret<String>),
}

impl Config {
    /// The usual bounds for a location: four connections; two seconds, or half a minute in memory, where nothing but
    /// this process can keep it waiting.
    pub fn new(location: Location) -> Self {
        let seconds = match location {
            Location::Memory => 30,
            Location::Sqlite(_) | Location::Postgres(_) => 2,
        };
        Self { location, max_connections: 4, operation_timeout: Duration::from_secs(seconds) }
    }
}

/// Names the place without credentials.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory"),
            Self::Sqlite(path) => write!(f, "`{}`", path.display()),
            Self::Postgres(_) => f.write_str("the PostgreSQL address"),
        }
    }
}

impl Store {
    /// Opens a store and brings its schema up to date.
    pub async fn open(config: &Config) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let refused = |reason: String| StoreError::Open {
            place: config.location.to_string(),
            reason: one_line(&reason),
        };

        let url = url(&config.location).map_err(refused)?;
        let options = AnyConnectOptions::from_str(url.expose())
            .map_err(|_| refused("it is not a database address".to_owned()))?
            .disable_statement_logging();
        let opening = async {
            let pool = pool(config).connect_with(options).await.map_err(|e| e.to_string())?;
            MIGRATIONS.run(&pool).await.map_err(|e| e.to_string())?;
            Ok::<AnyPool, String>(pool)
        };
        let pool = tokio::time::timeout(OPEN_TIMEOUT, opening)
            .await
            .map_err(|_| refused(format!("no answer within {OPEN_TIMEOUT:?}")))?
            .map_err(refused)?;
        let begin = match config.location {
            Location::Memory | Location::Sqlite(_) => "BEGIN IMMEDIATE",
            Location::Postgres(_) => "BEGIN",
        };
        let connections = Connections { pool, begin };
        let tasks = TaskTracker::new();
        Ok(Self { connections, operation_timeout: config.operation_timeout, tasks })
    }

    /// A store in memory, for tests and the demo.
    pub async fn memory() -> Result<Self, StoreError> {
        Self::open(&Config::new(Location::Memory)).await
    }
}

fn pool(config: &Config) -> AnyPoolOptions {
    let options = AnyPoolOptions::new().acquire_timeout(config.operation_timeout);
    match config.location {
        // The data lives as long as its one connection, which therefore must never be replaced.
        Location::Memory => {
            options.max_connections(1).min_connections(1).idle_timeout(None).max_lifetime(None)
        }
        Location::Sqlite(_) => {
            options.max_connections(config.max_connections.max(1)).after_connect(|connection, _| {
                Box::pin(async move {
                    connection.execute(SQLITE_PRAGMAS).await?;
                    Ok(())
                })
            })
        }
        Location::Postgres(_) => options.max_connections(config.max_connections.max(1)),
    }
}

fn url(location: &Location) -> Result<Secret<String>, String> {
    match location {
        Location::Memory => Ok(Secret::new("sqlite::memory:".to_owned())),
        Location::Sqlite(path) => {
            create_private(path)?;
            let path = path.to_str().ok_or("its path is not UTF-8")?;
            Ok(Secret::new(format!("sqlite://{}?mode=rwc", utf8_percent_encode(path, PATH_RESERVED))))
        }
        Location::Postgres(url) => {
            let given = url.expose();
            if given.starts_with("postgres://") || given.starts_with("postgresql://") {
                Ok(url.clone())
            } else {
                Err("the address does not start with `postgres://`".to_owned())
            }
        }
    }
}

/// Makes the file before SQLite does, so that nobody but its owner can read it (SQLite gives its side files the
/// same rights).
fn create_private(path: &Path) -> Result<(), String> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(e.to_string()),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

static MIGRATIONS: Migrator = sqlx::migrate!("src/store/migrations");

/// Longest wait for the first connection and the schema.
const OPEN_TIMEOUT: Duration = Duration::from_secs(15);

/// WAL lets `fieldgate keys` work beside a running gateway; FULL makes a committed reservation survive a power cut.
const SQLITE_PRAGMAS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 1500; PRAGMA trusted_schema = OFF;";

/// What would change the meaning of a path inside an address.
const PATH_RESERVED: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b'?').add(b'#').add(b'"');
