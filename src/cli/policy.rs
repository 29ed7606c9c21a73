//! Where commands find the policy they are about.

use std::path::{Path, PathBuf};

use crate::app::{self, config::Config};
use crate::base::{Report, Secret};
use crate::policy::{Loaded, MaskKeys, Purpose};
use crate::rewrite::mask::Keys;

/// The command line is wrong in a way that its parser cannot see.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(pub(super) String);

/// Arguments that name a policy.
#[derive(Debug, clap::Args)]
pub(super) struct Source {
    /// The deployment; its policy and the names of its keys are used.
    #[arg(long, value_name = "FILE", env = "FIELDGATE_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// A policy without a deployment: the `*.yaml` files of a directory. Masks get made-up keys.
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    pub(super) policies: Option<PathBuf>,
}

/// A policy, and everything that is to be said about it and its deployment.
pub(super) struct Found {
    pub(super) policy: Option<Loaded>,
    pub(super) report: Report,
}

impl Source {
    /// Reads the policy, and the deployment if there is one, for looking at them: no secret is needed.
    pub(super) fn read(&self) -> anyhow::Result<Found> {
        match self.place()? {
            Place::Policies(directory) => Ok(found(&directory, &MaskKeys::Assumed, Report::default())),
            Place::Config(file) => {
                let checked = app::check(&file);
                Ok(Found { policy: checked.policy, report: checked.report })
            }
        }
    }

    /// Reads the policy with the deployment's own keys, so that answers come out as they are served.
    pub(super) fn read_with_keys(&self) -> anyhow::Result<Found> {
        let file = match self.place()? {
            Place::Policies(directory) => {
                return Ok(found(&directory, &MaskKeys::Assumed, Report::default()));
            }
            Place::Config(file) => file,
        };
        let (config, mut report) = Config::load(&file);
        let Some(config) = config else { return Ok(Found { policy: None, report }) };
        let mut keys = Keys::default();
        for (name, source) in &config.secrets {
            match source.read() {
                Ok(secret) => keys.insert(name.as_ref(), Secret::new(secret.expose().as_bytes().to_vec())),
                Err(diagnostic) => report.push(*diagnostic),
            }
        }
        if report.has_errors() {
            return Ok(Found { policy: None, report });
        }
        Ok(found(&config.policies, &MaskKeys::Given(keys), report))
    }

    fn place(&self) -> anyhow::Result<Place> {
        match (&self.config, &self.policies) {
            (None, Some(directory)) => Ok(Place::Policies(directory.clone())),
            (Some(file), None) => Ok(Place::Config(file.clone())),
            (Some(_), Some(_)) => Err(Usage("say either `--config` or `--policies`".to_owned()).into()),
            (None, None) => {
                let usual = PathBuf::from("fieldgate.yaml");
                if usual.exists() {
                    return Ok(Place::Config(usual));
                }
                let text = "say `--config FILE` or `--policies DIR`: there is no fieldgate.yaml here";
                Err(Usage(text.to_owned()).into())
            }
        }
    }
}

/// Where the policy is named.
enum Place {
    Config(PathBuf),
    Policies(PathBuf),
}

fn found(directory: &Path, keys: &MaskKeys, mut report: Report) -> Found {
    let mut policy = Loaded::read(&[directory.to_owned()], keys, Purpose::Check);
    report.extend(std::mem::take(&mut policy.report));
    report.sort();
    Found { policy: Some(policy), report }
}
