//! `fieldgate unmask`: values that a mask of the kind `fpe` has written, turned back for whoever holds the right.
//!
//! It is in the audit, on the disk, before the first value is shown; a mask turned back that nobody hears of would be
//! no mask. The audit holds keyed hashes of the values that were asked about, never a value.

use std::io::{self, BufRead as _, IsTerminal as _, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use sha2::Sha256;

use crate::analysis::Caller;
use crate::app::config::{Config, StoreConfig};
use crate::app::{Recorded, open_store};
use crate::base::{Clock, SystemClock};
use crate::policy::{Plan, Unmask};
use crate::store::{Act, Store};

use super::acts::{Acts, reason};
use super::policy::{Source, Usage};
use super::{DENIED, FAILED};

/// Arguments of `fieldgate unmask`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The deployment, which names the policy, its keys, the store and the audit.
    #[arg(long, value_name = "FILE", default_value = "fieldgate.yaml", env = "FIELDGATE_CONFIG")]
    config: PathBuf,
    /// The mask, as the policy names it.
    #[arg(long, value_name = "NAME")]
    mask: String,
    #[command(flatten)]
    who: Who,
    /// Why, for the audit.
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: String,
    /// What the mask has written; without any, one a line from standard input.
    #[arg(value_name = "VALUE")]
    values: Vec<String>,
}

/// For whom it is done, as whoever runs the command says: the audit holds it, and who that was.
#[derive(Debug, clap::Args)]
struct Who {
    /// The principal for whom it is done: its id.
    #[arg(long = "as", value_name = "PRINCIPAL")]
    id: String,
    /// Groups it is in.
    #[arg(long, value_name = "GROUPS", value_delimiter = ',')]
    groups: Vec<String>,
    /// Its claims: a JSON object.
    #[arg(long, value_name = "JSON")]
    claims: Option<String>,
    /// It has used a second factor.
    #[arg(long)]
    mfa: bool,
    /// Its address.
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    ip: IpAddr,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { config: file, mask, who, reason, values } = args;
    let caller = who.caller().map_err(|error| Usage(format!("{error:#}")))?;
    let values = if values.is_empty() { read(io::stdin())? } else { checked(values)? };
    let Some((config, plan)) = policy(&file)? else { return Ok(FAILED.into()) };
    if matches!(config.store, StoreConfig::Memory) {
        bail!(
            "`{}` keeps nothing, also not who had what turned back: give it a `store` first, for example `store: state.db`",
            file.display()
        );
    }
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    runtime.block_on(async {
        let store = open_store(&config.store)
            .await
            .map_err(|report| anyhow::anyhow!("{}", report.to_text(false).trim_end().to_owned()))?;
        let now = SystemClock::new().now();
        let asked = Asked { plan: &plan, store: &store, now, mask: &mask, caller: &caller, values: &values };
        let mut acts = Acts::new(Some(reason));
        let record = async |acts: &Acts| acts.record(&config, &store).await;
        let (mut out, mut notes) = (io::stdout(), io::stderr());
        let done = asked.answer(&mut acts, record, &mut out, &mut notes).await;
        store.close().await;
        done
    })
}

/// The deployment and its policy, with the deployment's own keys.
fn policy(file: &Path) -> anyhow::Result<Option<(Config, Plan)>> {
    let (config, report) = Config::load(file);
    let Some(config) = config else { bail!("{}", report.to_text(false).trim_end()) };
    let found = Source { config: Some(file.to_owned()), policies: None }.read_with_keys()?;
    match found.policy.and_then(|policy| policy.plan) {
        Some(plan) => Ok(Some((config, plan))),
        None => {
            let mut notes = io::stderr();
            write!(notes, "{}", found.report.to_text(notes.is_terminal()))?;
            Ok(None)
        }
    }
}

impl Who {
    fn caller(self) -> anyhow::Result<Caller> {
        let claims = match &self.claims {
            Some(text) => serde_json::from_str(text).context("`--claims` is not a JSON object")?,
            None => serde_json::Map::new(),
        };
        Ok(Caller {
            id: self.id.into(),
            name: None,
            groups: self.groups.into_iter().map(Arc::from).collect(),
            // Only bindings give a role that turns back what is hidden.
            roles: Vec::new(),
            claims,
            ip: self.ip,
            mfa: self.mfa,
        })
    }
}

/// What is to be turned back for whom.
struct Asked<'a> {
    plan: &'a Plan,
    store: &'a Store,
    now: Timestamp,
    mask: &'a str,
    caller: &'a Caller,
    values: &'a [String],
}

impl Asked<'_> {
    /// Decides, has it recorded, and then shows the values: to `out` one line for each that was asked for, an empty one
    /// where there is nothing to show.
    async fn answer(
        &self,
        acts: &mut Acts,
        record: impl AsyncFnOnce(&Acts) -> Recorded,
        out: &mut impl Write,
        notes: &mut impl Write,
    ) -> anyhow::Result<ExitCode> {
        let decided = self.plan.unmask(&self.caller.principal(), self.mask, self.now);
        let decided = decided.map_err(|denial| denial.to_string());
        // Who vouches is not known here: whoever is frozen under that id is meant.
        let frozen = self.store.freezes().await?.iter().any(|row| row.subject == *self.caller.id);
        let leave = match decided {
            Ok(leave) if !frozen => leave,
            decided => {
                let denial = decided.err().unwrap_or_else(|| "the principal is frozen".to_owned());
                let act = self.act(acts, "unmask.denied").with("denial", &denial);
                self.store.add_acts(&[act]).await?;
                // Who is refused has seen nothing: it may come into the audit later.
                let _later = record(acts).await;
                writeln!(notes, "denied: {denial}")?;
                return Ok(DENIED.into());
            }
        };
        let told = self.told(&leave, acts).await?;
        self.store.add_acts(&told).await?;
        if let Recorded::NotYet(why) = record(acts).await {
            bail!("nothing is shown, since it is not in the audit: {why}");
        }
        let mut wrong = false;
        for (index, value) in self.values.iter().enumerate() {
            match leave.turn_back(value) {
                Ok(value) => writeln!(out, "{value}")?,
                Err(why) => {
                    wrong = true;
                    writeln!(out)?;
                    writeln!(notes, "value {}: {why}", index + 1)?;
                }
            }
        }
        out.flush()?;
        Ok(if wrong { FAILED.into() } else { ExitCode::SUCCESS })
    }

    /// The acts that tell of all values, each of as many as a record holds.
    async fn told(&self, leave: &Unmask, acts: &mut Acts) -> anyhow::Result<Vec<Act>> {
        let key = value_key(self.store).await?;
        let batches = self.values.chunks(VALUES_OF_AN_ACT);
        let told = batches.map(|values| {
            let mut act = self
                .act(acts, "unmask")
                .with("role", leave.by().as_ref())
                .with("policy_version", leave.policy_version().as_ref())
                .with("count", values.len().to_string());
            act.values = values.iter().map(|value| hashed(&key, self.mask, value)).collect();
            act
        });
        Ok(told.collect())
    }

    fn act(&self, acts: &mut Acts, action: &str) -> Act {
        // What the command was told of the principal is as good as whoever ran it, who is named beside it.
        let Caller { id, groups, ip, mfa, .. } = self.caller;
        acts.act(action, self.mask, self.now)
            .with("principal", id.as_ref())
            .with("groups", groups.join(" "))
            .with("ip", ip.to_string())
            .with("mfa", mfa.to_string())
    }
}

// === what is asked for ===

/// The lines of an input.
fn read(input: impl io::Read) -> anyhow::Result<Vec<String>> {
    let mut values = Vec::new();
    let mut lines = io::BufReader::new(input.take(MAX_INPUT + 1));
    let (mut line, mut bytes) = (String::new(), 0);
    loop {
        line.clear();
        let read = lines.read_line(&mut line).context("standard input cannot be read")?;
        bytes += read as u64;
        if bytes > MAX_INPUT {
            bail!("standard input has more than {MAX_INPUT} bytes");
        }
        if read == 0 {
            return checked(values);
        }
        values.push(line.trim_end_matches(['\r', '\n']).to_owned());
    }
}

fn checked(values: Vec<String>) -> anyhow::Result<Vec<String>> {
    if values.is_empty() {
        return Err(Usage("there is no value to turn back".to_owned()).into());
    }
    if values.len() > MAX_VALUES {
        return Err(Usage(format!("more than {MAX_VALUES} values at once")).into());
    }
    Ok(values)
}

// === hashes ===

/// The key of hashes of values: made once for a store, so that an auditor who has the store can ask of a value whether
/// it was turned back, and nobody who has only the log can try out values.
async fn value_key(store: &Store) -> anyhow::Result<Hmac<Sha256>> {
    let mut random = [0_u8; 32];
    getrandom::fill(&mut random).map_err(|_| anyhow::anyhow!("the system gives no random numbers"))?;
    let fresh: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let key = store.setting_or(VALUE_KEY, &fresh).await?;
    Hmac::<Sha256>::new_from_slice(key.as_bytes()).context("the key of hashes is no key")
}

/// The keyed hash of what a mask has written. The mask's length keeps two from reading alike.
fn hashed(key: &Hmac<Sha256>, mask: &str, value: &str) -> String {
    let mut mac = key.clone();
    mac.update(&(mask.len() as u64).to_be_bytes());
    mac.update(mask.as_bytes());
    mac.update(value.as_bytes());
    mac.finalize().into_bytes().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// The setting that holds the key of hashes.
const VALUE_KEY: &str = "audit.value-key";
/// Values of one run.
const MAX_VALUES: usize = 10_000;
const MAX_INPUT: u64 = 8 << 20;
/// Fewer than a record lists.
const VALUES_OF_AN_ACT: usize = 250;

#[cfg(test)]
mod tests;
