//! `fieldgate init`: a commented configuration and a first policy that passes `check`.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};

/// Arguments of `fieldgate init`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The directory to write to; it is made if it does not exist.
    dir: PathBuf,
    /// Name of the API that the gateway stands in front of.
    #[arg(long, default_value = "crm", value_parser = api_name)]
    api: String,
    /// Where the API is: scheme, host, port and perhaps a path.
    #[arg(long, default_value = "http://127.0.0.1:3000", value_parser = api_url)]
    url: String,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    write_all(&args)?;
    let config = args.dir.join("fieldgate.yaml");
    writeln!(
        std::io::stdout(),
        "wrote {config} and {policy}\n\nnext: change the routes and fields in the policy to those of your API, then\n\
         \x20 fieldgate check --config {config}\n\
         \x20 fieldgate test --config {config}\n\
         \x20 fieldgate serve --config {config}\n\
         \x20 curl -H \"Authorization: Bearer $(cat {key})\" http://127.0.0.1:8080/customers",
        config = config.display(),
        policy = args.dir.join("policies").join(format!("{}.yaml", args.api)).display(),
        key = args.dir.join("secrets/first.key").display(),
    )?;
    Ok(ExitCode::SUCCESS)
}

fn write_all(args: &Args) -> anyhow::Result<()> {
    let fill = |template: &str| {
        let variable = args.api.to_ascii_uppercase().replace('-', "_");
        template.replace("{{api}}", &args.api).replace("{{API}}", &variable).replace("{{url}}", &args.url)
    };
    let files = [
        ("fieldgate.yaml".to_owned(), fill(include_str!("fieldgate.yaml")), Reader::Everybody),
        (format!("policies/{}.yaml", args.api), fill(include_str!("policy.yaml")), Reader::Everybody),
        ("secrets/first.key".to_owned(), format!("{}\n", random_text()?), Reader::Owner),
        ("secrets/mask.key".to_owned(), format!("{}\n", random_text()?), Reader::Owner),
    ];
    if let Some((name, ..)) = files.iter().find(|(name, ..)| args.dir.join(name).exists()) {
        bail!("`{}` is there already; nothing was written", args.dir.join(name).display());
    }
    for (name, text, reader) in &files {
        let path = args.dir.join(name);
        write_new(&path, text, *reader).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    let state = args.dir.join("state");
    fs::create_dir_all(&state).with_context(|| format!("cannot make `{}`", state.display()))
}

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    Everybody,
    Owner,
}

fn write_new(path: &Path, text: &str, reader: Reader) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if reader == Reader::Owner {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)?.write_all(text.as_bytes())
}

/// 32 random bytes as hexadecimal digits.
fn random_text() -> anyhow::Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn api_name(text: &str) -> Result<String, String> {
    let plain = text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.len() <= 64
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'));
    if plain {
        Ok(text.to_owned())
    } else {
        Err("a name is lower case letters, digits, `-` and `_`".to_owned())
    }
}

fn api_url(text: &str) -> Result<String, String> {
    let uri = text.parse::<http::Uri>().ok();
    let web =
        uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.query().is_none());
    if web { Ok(text.to_owned()) } else { Err("write it like `https://crm.internal:8443/base`".to_owned()) }
}

#[cfg(test)]
mod tests;
