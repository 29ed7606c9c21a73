//! `fieldgate keys create`, `list`, `rotate` and `revoke`: the API keys of the store; `hash`: passwords.

use std::io::{self, BufRead as _, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use icu_properties::CodePointMapData;
use icu_properties::props::EastAsianWidth;
use ipnet::IpNet;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use crate::app::config::{Config, StoreConfig};
use crate::app::open_store;
use crate::base::{Clock, Secret, SystemClock};
use crate::identity::{
    KeyOwner, KeySummary, Kind, NewKey, create_key, hash_password, list_keys, revoke_key, rotate_key,
};
use crate::store::Store;

use super::FAILED;
use super::acts::{Acts, reason};

/// Arguments of `fieldgate keys`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
    /// The deployment, which names the store.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = "fieldgate.yaml",
        env = "FIELDGATE_CONFIG"
    )]
    config: PathBuf,
    /// Why, for the audit.
    #[arg(long, global = true, value_name = "TEXT", value_parser = reason)]
    reason: Option<String>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a key and print it. It is shown this once: the store keeps only a hash.
    Create(Box<Create>),
    /// List all keys, without their secrets.
    List(List),
    /// Make a key in place of another one, and print it. The other one works on for the overlap.
    Rotate(Rotate),
    /// Hash a password for `identity.basic`. It is read from standard input, one line.
    Hash,
    /// Revoke a key. Running gateways refuse it within a second.
    Revoke(Revoke),
}

#[derive(Debug, clap::Args)]
struct Create {
    /// What the key is for, for people who read the list.
    #[arg(long)]
    name: String,
    /// Whom it stands for: the principal's id.
    #[arg(long, value_name = "ID")]
    principal: String,
    /// The issuer whose tokens name this principal, so that key and tokens count as one person.
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// The key belongs to a program, not to a person.
    #[arg(long)]
    service: bool,
    /// Groups, as the policy's bindings name them.
    #[arg(long, value_delimiter = ',', value_name = "GROUPS")]
    groups: Vec<String>,
    /// Roles that the key gives directly, beside those from bindings.
    #[arg(long, value_delimiter = ',', value_name = "ROLES")]
    roles: Vec<String>,
    /// What the key may be used for: conditions read it as `principal.claims.scopes`.
    #[arg(long, value_delimiter = ',', value_name = "SCOPES")]
    scopes: Vec<String>,
    /// Claims that conditions may read, as a JSON object.
    #[arg(long, value_name = "JSON", value_parser = claims)]
    claims: Option<Map<String, Value>>,
    /// Until when it works: a day (through its end, UTC), a time, or a number of days such as `90d`.
    #[arg(long, value_name = "TIME", value_parser = expiry)]
    expires: Option<Expiry>,
    /// Where it may be used from: addresses or networks.
    #[arg(long, value_delimiter = ',', value_name = "NETWORKS", value_parser = network)]
    networks: Vec<IpNet>,
}

#[derive(Debug, clap::Args)]
struct List {
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Rotate {
    /// The key's id, as in the list: what stands between `fg_` and the next `_`.
    id: String,
    /// For how long the old key works on, such as `2h` or `7d`.
    #[arg(long, value_name = "TIME", default_value = "1d", value_parser = overlap)]
    overlap: Duration,
    /// Until when the new one works; without it, as long as the old one was made for.
    #[arg(long, value_name = "TIME", value_parser = expiry)]
    expires: Option<Expiry>,
}

#[derive(Debug, clap::Args)]
struct Revoke {
    /// The key's id, as in the list: what stands between `fg_` and the next `_`.
    id: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expiry {
    At(Timestamp),
    After(Duration),
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    if matches!(args.command, Command::Hash) {
        return hash(io::stdin().lock(), &mut io::stdout());
    }
    let (config, report) = Config::load(&args.config);
    let Some(config) = config else { bail!("{}", report.to_text(false).trim_end()) };
    if matches!(config.store, StoreConfig::Memory) {
        bail!(
            "`{}` keeps nothing: give it a `store` first, for example `store: state.db`",
            args.config.display()
        );
    }
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    runtime.block_on(async {
        let store = open_store(&config.store)
            .await
            .map_err(|report| anyhow::anyhow!("{}", report.to_text(false).trim_end().to_owned()))?;
        let now = SystemClock::new().now();
        let (mut acts, mut notes) = (Acts::new(args.reason), io::stderr());
        let done = execute(args.command, &store, &mut acts, now, &mut io::stdout(), &mut notes).await;
        if done.is_ok() {
            acts.record_later(&config, &store, &mut notes).await?;
        }
        store.close().await;
        match done {
            // Whoever read the list has seen enough (`| head`).
            Err(error) if is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
            done => done,
        }
    })
}

/// What can be piped goes to `out`, what is for people to `notes`.
async fn execute(
    command: Command,
    store: &Store,
    acts: &mut Acts,
    now: Timestamp,
    out: &mut impl Write,
    notes: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    match command {
        Command::Create(create) => {
            let new = create.key(now)?;
            let whom = new.owner.principal.clone();
            let issued = create_key(store, new, acts.act("keys.create", "", now), now).await?;
            writeln!(out, "{}", issued.text.expose())?;
            writeln!(notes, "key {} for {whom}; it cannot be shown again", issued.id)?;
        }
        Command::List(List { json }) => {
            let keys = list_keys(store).await?;
            if json {
                keys.iter().try_for_each(|key| writeln!(out, "{}", object(key, now)))?;
            } else {
                print_table(&keys, now, out)?;
            }
        }
        Command::Rotate(Rotate { id, overlap, expires }) => {
            let expires = expires.map(|expiry| expiry.after(now)).transpose()?;
            let act = acts.act("keys.rotate", &id, now);
            let Some(issued) = rotate_key(store, &id, overlap, expires, act, now).await? else {
                writeln!(notes, "there is no key `{}` that could be rotated", id.escape_debug())?;
                return Ok(FAILED.into());
            };
            writeln!(out, "{}", issued.text.expose())?;
            writeln!(
                notes,
                "key {} in place of {id}, which works until {}; it cannot be shown again",
                issued.id,
                now.checked_add(overlap).context("that is too far away")?.strftime("%F %H:%MZ")
            )?;
        }
        Command::Hash => bail!("`hash` needs no store"),
        Command::Revoke(Revoke { id }) => {
            if !revoke_key(store, &id, acts.act("keys.revoke", &id, now), now).await? {
                writeln!(notes, "there is no key `{}` that could be revoked", id.escape_debug())?;
                return Ok(FAILED.into());
            }
            writeln!(notes, "key {id} is revoked")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Create {
    fn key(self, now: Timestamp) -> anyhow::Result<NewKey> {
        let expires = self.expires.map(|expiry| expiry.after(now)).transpose()?;
        let owner = KeyOwner {
            principal: self.principal,
            issuer: self.issuer,
            name: None,
            kind: if self.service { Kind::Service } else { Kind::Person },
            groups: self.groups,
            roles: self.roles,
            scopes: self.scopes,
            claims: self.claims.unwrap_or_default(),
            networks: self.networks,
            mfa: false,
        };
        Ok(NewKey { name: self.name, owner, expires })
    }
}

impl Expiry {
    fn after(self, now: Timestamp) -> anyhow::Result<Timestamp> {
        match self {
            Self::At(at) => Ok(at),
            Self::After(time) => now.checked_add(time).context("that is too far away"),
        }
    }
}

// === hash ===

/// Reads a password and prints its hash.
fn hash(input: impl io::BufRead, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let mut line = String::new();
    input.take(MAX_LINE).read_line(&mut line).context("cannot read the password from standard input")?;
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    writeln!(out, "{}", hash_password(&Secret::new(line))?)?;
    Ok(ExitCode::SUCCESS)
}

// === list ===

fn state(key: &KeySummary, now: Timestamp) -> &'static str {
    if key.revoked.is_some() {
        "revoked"
    } else if key.owner.is_none() {
        "unreadable"
    } else if key.expires.is_some_and(|at| at <= now) {
        "expired"
    } else {
        "valid"
    }
}

fn object(key: &KeySummary, now: Timestamp) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "state": state(key, now),
        "owner": key.owner,
        "created": key.created.to_string(),
        "expires": key.expires.map(|at| at.to_string()),
        "revoked": key.revoked.map(|at| at.to_string()),
        "last_used": key.last_used.map(|at| at.to_string()),
    })
}

fn print_table(keys: &[KeySummary], now: Timestamp, out: &mut impl Write) -> io::Result<()> {
    let time = |at: Option<Timestamp>| at.map_or("-".to_owned(), |at| at.strftime("%F %H:%M").to_string());
    let mut rows: Vec<Vec<String>> = vec![HEADINGS.iter().map(|&heading| heading.to_owned()).collect()];
    for key in keys {
        let owner = key.owner.clone().unwrap_or_default();
        let rights = owner.groups.iter().chain(&owner.roles).map(String::as_str).collect::<Vec<_>>();
        rows.push(vec![
            key.id.clone(),
            key.name.clone(),
            owner.principal.clone(),
            if rights.is_empty() { "-".to_owned() } else { rights.join(",") },
            state(key, now).to_owned(),
            time(key.expires),
            time(key.last_used),
        ]);
    }
    let widths: Vec<usize> = (0..HEADINGS.len())
        .map(|column| {
            rows.iter().filter_map(|row| row.get(column)).map(|text| width(text)).max().unwrap_or(0)
        })
        .collect();
    for row in &rows {
        let mut line = String::new();
        for (text, widest) in row.iter().zip(&widths) {
            line.push_str(text);
            line.extend(std::iter::repeat_n(' ', widest - width(text) + 2));
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Columns that a text takes on a terminal: East Asian characters take two.
fn width(text: &str) -> usize {
    let widths = CodePointMapData::<EastAsianWidth>::new();
    text.chars()
        .map(|c| match widths.get(c) {
            EastAsianWidth::Wide | EastAsianWidth::Fullwidth => 2,
            _ => 1,
        })
        .sum()
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

// === arguments ===

fn claims(text: &str) -> Result<Map<String, Value>, String> {
    match serde_json::from_str(text) {
        Ok(Value::Object(claims)) => Ok(claims),
        Ok(_) => Err("not a JSON object".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn network(text: &str) -> Result<IpNet, String> {
    let one = || text.parse::<std::net::IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| one()).map_err(|_| "neither an address nor a network (`10.0.0.0/8`)".to_owned())
}

fn overlap(text: &str) -> Result<Duration, String> {
    let units = [("d", 86_400), ("h", 3_600), ("min", 60), ("m", 60), ("s", 1)];
    let seconds = units.iter().find_map(|(unit, seconds)| {
        text.strip_suffix(unit)?.parse::<u32>().ok().map(|count| u64::from(count) * seconds)
    });
    seconds.map(Duration::from_secs).ok_or_else(|| "not a time such as `30m`, `2h` or `7d`".to_owned())
}

fn expiry(text: &str) -> Result<Expiry, String> {
    if let Some(days) = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok()) {
        return Ok(Expiry::After(Duration::from_secs(u64::from(days) * 86_400)));
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(Expiry::At(time));
    }
    text.parse::<Date>()
        .and_then(|day| day.tomorrow())
        .and_then(|next| next.to_zoned(TimeZone::UTC))
        .map(|end| Expiry::At(end.timestamp()))
        .map_err(|_| {
            "neither a day (`2026-12-31`), a time (`2026-12-31T18:00:00Z`) nor days (`90d`)".to_owned()
        })
}

/// Longer than any password.
const MAX_LINE: u64 = 4096;

const HEADINGS: [&str; 7] = ["ID", "NAME", "PRINCIPAL", "GROUPS, ROLES", "STATE", "EXPIRES", "LAST USED"];

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    struct Scene {
        store: Store,
        now: Timestamp,
    }

    impl Scene {
        async fn new() -> Self {
            Self { store: Store::memory().await.unwrap(), now: "2026-11-01T12:00:00Z".parse().unwrap() }
        }

        /// What was printed, what was noted, whether it succeeded.
        async fn run(&self, line: &[&str]) -> (String, String, bool) {
            let words = ["keys"].iter().chain(line);
            let command = Line::try_parse_from(words).unwrap().args.command;
            let (mut out, mut notes) = (Vec::new(), Vec::new());
            let mut acts = Acts::new(None);
            let done = execute(command, &self.store, &mut acts, self.now, &mut out, &mut notes).await;
            let notes = String::from_utf8(notes).unwrap();
            let notes = done.as_ref().map_or_else(|error| error.to_string(), |_| notes);
            let good = done.is_ok_and(|code| format!("{code:?}") == format!("{:?}", ExitCode::SUCCESS));
            (String::from_utf8(out).unwrap(), notes, good)
        }
    }

    #[tokio::test]
    async fn a_key_is_printed_once_and_listed_without_its_secret() {
        let scene = Scene::new().await;
        let create = "create --name nightly --principal etl --service --groups crm-etl,all --expires 90d";
        let (out, notes, good) = scene.run(&create.split(' ').collect::<Vec<_>>()).await;
        assert!(good && out.starts_with("fg_") && out.lines().count() == 1, "{out}");
        let secret = out.trim().rsplit_once('_').unwrap().1;
        assert!(!notes.contains(secret), "what is piped is the key alone, what is noted has no secret");

        let (table, _, _) = scene.run(&["list"]).await;
        assert!(
            table.contains("nightly") && table.contains("crm-etl,all") && table.contains("2027-01-30 12:00")
        );
        let (lines, _, _) = scene.run(&["list", "--json"]).await;
        let key: Value = serde_json::from_str(lines.trim()).unwrap();
        assert_eq!((&key["state"], &key["owner"]["kind"]), (&json!("valid"), &json!("service")));
        assert!(!table.contains(secret) && !lines.contains(secret));
    }

    #[tokio::test]
    async fn a_revoked_key_is_listed_as_such_and_is_revoked_once() {
        let scene = Scene::new().await;
        scene.run(&["create", "--name", "a", "--principal", "li.na"]).await;
        let id = list_keys(&scene.store).await.unwrap()[0].id.clone();
        assert!(scene.run(&["revoke", &id]).await.2);
        assert!(scene.run(&["list"]).await.0.contains("revoked"));
        let (_, notes, good) = scene.run(&["revoke", &id]).await;
        assert!(!good && notes.contains(&id));
        assert!(!scene.run(&["revoke", "\u{1b}[2J"]).await.1.contains('\u{1b}'));
    }

    #[tokio::test]
    async fn a_rotated_key_works_on_for_its_overlap_and_no_longer() {
        let scene = Scene::new().await;
        let create = "create --name nightly --principal etl --service --groups crm-etl --expires 90d";
        scene.run(&create.split(' ').collect::<Vec<_>>()).await;
        let old = list_keys(&scene.store).await.unwrap()[0].clone();
        let (out, notes, good) = scene.run(&["rotate", &old.id, "--overlap", "2h"]).await;
        assert!(good && out.starts_with("fg_") && out.lines().count() == 1, "{out}{notes}");
        assert!(notes.contains("2026-11-01 14:00Z"), "{notes}");
        let keys = list_keys(&scene.store).await.unwrap();
        let of = |id: &str| keys.iter().find(|key| key.id == id).unwrap().clone();
        let new = keys.iter().find(|key| key.id != old.id).unwrap();
        assert_eq!(of(&old.id).expires, Some(scene.now + Duration::from_secs(7_200)));
        assert_eq!((&new.name, &new.owner, new.expires), (&old.name, &old.owner, old.expires));
        assert!(out.contains(&new.id));

        let later = ["rotate", &new.id, "--overlap", "365d", "--expires", "30d"];
        assert!(scene.run(&later).await.2);
        let keys = list_keys(&scene.store).await.unwrap();
        let new = keys.iter().find(|key| key.id == new.id).unwrap();
        assert_eq!(new.expires, old.expires, "an overlap makes no key live longer");

        scene.run(&["revoke", &old.id]).await;
        for id in [old.id.as_str(), "aaaaaaaaaaaa"] {
            let (out, notes, good) = scene.run(&["rotate", id]).await;
            assert!(!good && out.is_empty() && notes.contains(id), "{notes}");
        }
        assert_eq!(list_keys(&scene.store).await.unwrap().len(), 3);
    }

    #[test]
    fn a_password_is_hashed_from_one_line() {
        let mut out = Vec::new();
        hash(io::Cursor::new("correct horse\r\nmore"), &mut out).unwrap();
        assert!(out.starts_with(b"$argon2id$v=19$") && out.ends_with(b"\n"));
        assert!(hash(io::Cursor::new("\n"), &mut out).is_err());
        assert!(hash(io::Cursor::new("a".repeat(5_000)), &mut out).is_err());
    }

    #[tokio::test]
    async fn a_key_that_makes_no_sense_is_refused() {
        let scene = Scene::new().await;
        let past = ["create", "--name", "a", "--principal", "b", "--expires", "2026-10-31"];
        let (_, notes, good) = scene.run(&past).await;
        assert!(!good && notes.contains("expired"), "{notes}");
        assert!(list_keys(&scene.store).await.unwrap().is_empty());
    }

    #[test]
    fn arguments_are_understood_or_refused() {
        let at = |text: &str| Expiry::At(text.parse().unwrap());
        assert_eq!(expiry("2026-12-31"), Ok(at("2027-01-01T00:00:00Z")));
        assert_eq!(expiry("2026-12-31T18:00:00+08:00"), Ok(at("2026-12-31T10:00:00Z")));
        assert_eq!(overlap("2h"), Ok(Duration::from_secs(7_200)));
        assert!(overlap("2").is_err() && overlap("h").is_err() && overlap("-1d").is_err());
        assert_eq!(expiry("2d"), Ok(Expiry::After(Duration::from_secs(172_800))));
        for bad in ["", "d", "-1d", "soon", "2026-13-01", "90"] {
            assert!(expiry(bad).is_err(), "{bad}");
        }
        assert_eq!(network("10.0.0.1").unwrap().to_string(), "10.0.0.1/32");
        assert!(network("10.0.0.0/33").is_err());
        assert!(claims(r#"{"region":"east"}"#).is_ok() && claims("[]").is_err() && claims("{").is_err());
    }

    #[test]
    fn columns_line_up_in_chinese_too() {
        let key = |id: &str, name: &str| KeySummary {
            id: id.into(),
            name: name.into(),
            owner: Some(KeyOwner { principal: "li.na".into(), ..KeyOwner::default() }),
            created: Timestamp::UNIX_EPOCH,
            expires: None,
            revoked: None,
            last_used: None,
        };
        let mut out = Vec::new();
        print_table(&[key("aaaa", "夜间导出"), key("bbbb", "x")], Timestamp::UNIX_EPOCH, &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "ID    NAME      PRINCIPAL  GROUPS, ROLES  STATE  EXPIRES  LAST USED\n\
             aaaa  夜间导出  li.na      -              valid  -        -\n\
             bbbb  x         li.na      -              valid  -        -\n"
        );
    }
}
