//! `fieldgate freeze`, `unfreeze` and `freezes`: who gets nothing, whatever the policy says.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use jiff::Timestamp;
use serde_json::json;

use crate::app::config::{Config, StoreConfig};
use crate::app::open_store;
use crate::base::{Clock, SystemClock};
use crate::store::{FreezeRow, Store};

use super::FAILED;
use super::acts::{Acts, reason};

/// Arguments of `fieldgate freeze`.
#[derive(Debug, clap::Args)]
pub(super) struct Freeze {
    #[command(flatten)]
    whom: Whom,
}

/// Arguments of `fieldgate unfreeze`.
#[derive(Debug, clap::Args)]
pub(super) struct Unfreeze {
    #[command(flatten)]
    whom: Whom,
}

/// Arguments of `fieldgate freezes`.
#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    place: Place,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Whom {
    /// The principal's id.
    #[arg(value_name = "PRINCIPAL", value_parser = name)]
    principal: String,
    /// Only the principal that this issuer vouches for; without it, whoever vouches.
    #[arg(long, value_name = "ISSUER", value_parser = name)]
    issuer: Option<String>,
    /// Why, for the audit and the list.
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: String,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, clap::Args)]
struct Place {
    /// The deployment, which names the store.
    #[arg(long, value_name = "FILE", default_value = "fieldgate.yaml", env = "FIELDGATE_CONFIG")]
    config: PathBuf,
}

pub(super) fn run_freeze(args: Freeze) -> anyhow::Result<ExitCode> {
    let Freeze { whom } = args;
    with_store(&whom.place, Some(whom.reason.clone()), async |store, acts, now, _, notes| {
        freeze(&whom, store, acts, now, notes).await
    })
}

pub(super) fn run_unfreeze(args: Unfreeze) -> anyhow::Result<ExitCode> {
    let Unfreeze { whom } = args;
    with_store(&whom.place, Some(whom.reason.clone()), async |store, acts, now, _, notes| {
        unfreeze(&whom, store, acts, now, notes).await
    })
}

pub(super) fn run_list(args: List) -> anyhow::Result<ExitCode> {
    with_store(&args.place, None, async |store, _, _, out, _| list(store, args.json, out).await)
}

/// Opens the store, does it, and waits until it is in the audit.
fn with_store(
    place: &Place,
    reason: Option<String>,
    work: impl AsyncFnOnce(
        &Store,
        &mut Acts,
        Timestamp,
        &mut io::Stdout,
        &mut io::Stderr,
    ) -> anyhow::Result<ExitCode>,
) -> anyhow::Result<ExitCode> {
    let (config, report) = Config::load(&place.config);
    let Some(config) = config else { bail!("{}", report.to_text(false).trim_end()) };
    if matches!(config.store, StoreConfig::Memory) {
        bail!(
            "`{}` keeps nothing: give it a `store` first, for example `store: state.db`",
            place.config.display()
        );
    }
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    runtime.block_on(async {
        let store = open_store(&config.store)
            .await
            .map_err(|report| anyhow::anyhow!("{}", report.to_text(false).trim_end().to_owned()))?;
        let (mut acts, mut notes) = (Acts::new(reason), io::stderr());
        let now = SystemClock::new().now();
        let done = work(&store, &mut acts, now, &mut io::stdout(), &mut notes).await;
        if done.is_ok() {
            acts.record_later(&config, &store, &mut notes).await?;
        }
        store.close().await;
        done
    })
}

async fn freeze(
    whom: &Whom,
    store: &Store,
    acts: &mut Acts,
    now: Timestamp,
    notes: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    let issuer = whom.issuer.clone().unwrap_or_default();
    let mut act = acts.act("freeze", &whom.principal, now);
    if !issuer.is_empty() {
        act = act.with("issuer", &issuer);
    }
    let row = FreezeRow {
        issuer,
        subject: whom.principal.clone(),
        since: now.as_microsecond(),
        cause: "command".to_owned(),
        reason: whom.reason.clone(),
    };
    let said = if store.freeze(&row, &act).await? {
        "is frozen: gateways refuse it within a second, and end its answers within two"
    } else {
        "was frozen already"
    };
    writeln!(notes, "{} {said}", shown(&row))?;
    Ok(ExitCode::SUCCESS)
}

/// Lifts the one freeze that is meant.
async fn unfreeze(
    whom: &Whom,
    store: &Store,
    acts: &mut Acts,
    now: Timestamp,
    notes: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    let mut meant = store.freezes().await?;
    meant.retain(|row| {
        row.subject == whom.principal && whom.issuer.as_ref().is_none_or(|issuer| *issuer == row.issuer)
    });
    let [row] = meant.as_slice() else {
        if meant.is_empty() {
            writeln!(notes, "`{}` is not frozen", whom.principal.escape_debug())?;
        } else {
            writeln!(notes, "several are frozen under that id: say which by `--issuer`")?;
            meant.iter().try_for_each(|row| writeln!(notes, "  {}", shown(row)))?;
        }
        return Ok(FAILED.into());
    };
    let mut act = acts.act("unfreeze", &row.subject, now).with("cause", &row.cause);
    if !row.issuer.is_empty() {
        act = act.with("issuer", &row.issuer);
    }
    if !store.unfreeze(&row.issuer, &row.subject, &act).await? {
        writeln!(notes, "somebody else has just lifted it")?;
        return Ok(FAILED.into());
    }
    writeln!(notes, "{} is no longer frozen", shown(row))?;
    Ok(ExitCode::SUCCESS)
}

async fn list(store: &Store, as_json: bool, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    for row in store.freezes().await? {
        let since = Timestamp::from_microsecond(row.since).unwrap_or(Timestamp::MIN);
        if as_json {
            let issuer = Some(&row.issuer).filter(|issuer| !issuer.is_empty());
            let since = since.to_string();
            let FreezeRow { subject, cause, reason, .. } = &row;
            let line = json!({ "principal": subject, "issuer": issuer, "since": since, "cause": cause, "reason": reason });
            writeln!(out, "{line}")?;
        } else {
            let why = if row.reason.is_empty() { &row.cause } else { &row.reason };
            writeln!(out, "{}  {}  {why}", since.strftime("%F %H:%MZ"), shown(&row))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A principal on one line, whatever its id holds.
fn shown(row: &FreezeRow) -> String {
    let subject = row.subject.escape_debug();
    if row.issuer.is_empty() {
        subject.to_string()
    } else {
        format!("{subject} of {}", row.issuer.escape_debug())
    }
}

fn name(text: &str) -> Result<String, String> {
    if text.is_empty() || text.chars().count() > MAX_NAME || text.chars().any(char::is_control) {
        return Err(format!("it is empty, longer than {MAX_NAME} characters, or has control characters"));
    }
    Ok(text.to_owned())
}

/// No principal has a longer one.
const MAX_NAME: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    struct Scene {
        store: Store,
        now: Timestamp,
    }

    impl Scene {
        async fn new() -> Self {
            Self { store: Store::memory().await.unwrap(), now: "2026-11-01T12:00:00Z".parse().unwrap() }
        }

        fn whom(principal: &str, issuer: Option<&str>) -> Whom {
            Whom {
                principal: principal.to_owned(),
                issuer: issuer.map(str::to_owned),
                reason: "CRM-7".to_owned(),
                place: Place { config: PathBuf::new() },
            }
        }

        async fn freeze(&self, principal: &str, issuer: Option<&str>) -> String {
            let mut notes = Vec::new();
            let mut acts = Acts::new(Some("CRM-7".to_owned()));
            let whom = Self::whom(principal, issuer);
            freeze(&whom, &self.store, &mut acts, self.now, &mut notes).await.unwrap();
            String::from_utf8(notes).unwrap()
        }

        async fn unfreeze(&self, principal: &str, issuer: Option<&str>) -> (String, bool) {
            let mut notes = Vec::new();
            let mut acts = Acts::new(Some("CRM-8".to_owned()));
            let whom = Self::whom(principal, issuer);
            let code = unfreeze(&whom, &self.store, &mut acts, self.now, &mut notes).await.unwrap();
            (String::from_utf8(notes).unwrap(), format!("{code:?}") == format!("{:?}", ExitCode::SUCCESS))
        }

        async fn list(&self, json: bool) -> String {
            let mut out = Vec::new();
            list(&self.store, json, &mut out).await.unwrap();
            String::from_utf8(out).unwrap()
        }
    }

    #[tokio::test]
    async fn a_principal_is_frozen_listed_and_released_with_an_act_for_each() {
        let scene = Scene::new().await;
        assert!(scene.freeze("li.na", None).await.starts_with("li.na is frozen"));
        assert_eq!(scene.freeze("li.na", None).await, "li.na was frozen already\n");
        assert_eq!(scene.list(false).await, "2026-11-01 12:00Z  li.na  CRM-7\n");
        let line: serde_json::Value = serde_json::from_str(scene.list(true).await.trim()).unwrap();
        assert_eq!((&line["principal"], &line["issuer"]), (&json!("li.na"), &json!(null)));
        assert!(scene.unfreeze("li.na", None).await.1);
        assert_eq!(scene.unfreeze("li.na", None).await, ("`li.na` is not frozen\n".to_owned(), false));
        assert_eq!(scene.list(false).await, "");
        let acts = scene.store.acts(10).await.unwrap();
        let mut told: Vec<_> = acts
            .iter()
            .map(|waiting| {
                let act = waiting.act.as_ref().unwrap();
                (act.action.as_str(), act.target.as_str(), act.reason.as_deref())
            })
            .collect();
        // Of one moment, so in no order.
        told.sort_unstable();
        assert_eq!(
            told,
            [("freeze", "li.na", Some("CRM-7")), ("unfreeze", "li.na", Some("CRM-8"))],
            "what changed nothing is no act"
        );
    }

    #[tokio::test]
    async fn of_two_with_one_id_the_one_that_is_named_is_released() {
        let scene = Scene::new().await;
        scene.freeze("7", Some("https://a")).await;
        scene.freeze("7", Some("https://b")).await;
        let (notes, good) = scene.unfreeze("7", None).await;
        assert!(!good && notes.contains("7 of https://a") && notes.contains("7 of https://b"), "{notes}");
        assert!(scene.unfreeze("7", Some("https://a")).await.1);
        assert!(!scene.unfreeze("7", Some("https://a")).await.1);
        assert!(scene.unfreeze("7", None).await.1, "now it is clear who is meant");
    }

    #[test]
    fn a_name_is_one_line() {
        assert!(name("li.na").is_ok() && name("王芳 \u{2028}").is_ok());
        for bad in ["", "a\nb", "\u{1b}[2J", &"x".repeat(1025)] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }
}
