//! Describing a caller and a request on the command line.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use bytes::Bytes;

use crate::analysis::Caller;

use super::policy::Usage;

/// Arguments that describe who asks for what.
#[derive(Debug, clap::Args)]
pub(super) struct Asked {
    /// The caller's subject.
    #[arg(long = "as", value_name = "ID")]
    id: String,
    /// Groups the caller is in.
    #[arg(long, value_name = "GROUPS", value_delimiter = ',')]
    groups: Vec<String>,
    /// Roles the caller has beside those from bindings.
    #[arg(long, value_name = "ROLES", value_delimiter = ',')]
    roles: Vec<String>,
    /// The caller's claims: a JSON object.
    #[arg(long, value_name = "JSON")]
    claims: Option<String>,
    /// The caller used a second factor.
    #[arg(long)]
    mfa: bool,
    /// The caller's address.
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    ip: IpAddr,
    /// Method and target, such as `GET /api/v1/customers/42`.
    #[arg(long, value_name = "LINE")]
    request: String,
    /// The request's method, where `--request` gives only the target.
    #[arg(long, value_name = "METHOD")]
    method: Option<String>,
    /// A request header, `NAME: VALUE`; may be repeated.
    #[arg(long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// A file that holds the request's body.
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
}

impl Asked {
    /// The caller and the request; anything wrong with them is the command line's fault.
    pub(super) fn parts(&self) -> Result<(Caller, http::Request<Bytes>), Usage> {
        let usage = |error: anyhow::Error| Usage(format!("{error:#}"));
        Ok((self.caller().map_err(usage)?, self.request().map_err(usage)?))
    }

    /// The caller.
    fn caller(&self) -> anyhow::Result<Caller> {
        let claims = match &self.claims {
            Some(text) => serde_json::from_str(text).context("`--claims` is not a JSON object")?,
            None => serde_json::Map::new(),
        };
        let texts = |texts: &[String]| texts.iter().map(|text| Arc::from(text.as_str())).collect();
        Ok(Caller {
            id: self.id.as_str().into(),
            name: None,
            groups: texts(&self.groups),
            roles: texts(&self.roles),
            claims,
            ip: self.ip,
            mfa: self.mfa,
        })
    }

    /// The request.
    fn request(&self) -> anyhow::Result<http::Request<Bytes>> {
        let (method, target) = match (&self.method, self.request.split_once(' ')) {
            (None, Some((method, target))) => (method, target),
            (Some(method), None) => (method.as_str(), self.request.as_str()),
            (Some(given), Some((method, target))) if given == method => (method, target),
            (Some(given), Some((method, _))) => {
                bail!("`--method {given}` and `--request \"{method} …\"` differ")
            }
            (None, None) => ("GET", self.request.as_str()),
        };
        let body = match &self.body {
            Some(file) => {
                std::fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?.into()
            }
            None => Bytes::new(),
        };
        let mut request = http::Request::builder().method(method).uri(target);
        let mut typed = false;
        for header in &self.headers {
            let (name, value) = header
                .split_once(':')
                .with_context(|| format!("`{header}` is no header: write `NAME: VALUE`"))?;
            typed |= name.trim().eq_ignore_ascii_case("content-type");
            request = request.header(name.trim(), value.trim());
        }
        if !typed && !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        request.body(body).with_context(|| format!("`{}` is no request", self.request))
    }
}
