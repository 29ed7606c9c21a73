//! Fieldgate: a reverse proxy that decides, field by field and record by record, what each caller of a
//! CRM or ERP API may read, change, search by and export, while the answer streams through.
//!
//! # The map
//!
//! The modules below stand in order, foundations first: **a module imports only modules listed above it**
//! (`tests/layers.rs` fails otherwise). The middle of the list is the path of a request; the whole life of
//! a request is one function, `proxy::Gateway::exchange`.
//!
//! | where is … | look at |
//! |---|---|
//! | a mask applied | [`rewrite`] → [`rewrite::mask`] |
//! | a caller authenticated | [`identity`] → `identity::Identity::authenticate` |
//! | a rule decided | [`policy`] → [`policy::Plan::decide`] |
//! | a limit charged | [`limits`] → `limits::Ticket::charge` |
//! | an error turned into an answer | [`proxy`] → `proxy::reject` |
//! | an access recorded | [`audit`] → `audit::Record` |
//!
//! # Glossary
//!
//! * **api**: one upstream HTTP API, described by its *routes*.
//! * **route**: method and path template, giving an *action* on a *resource*.
//! * **resource**: a record type; each of its fields has one *label*.
//! * **principal**: the authenticated caller.
//! * **role**, **permission**, **binding**, **guard**: see `docs/policy.md`.
//! * **operation**: one request as the policy sees it: route, action, resource, parameters.
//! * **plan**: a compiled, immutable policy ([`policy::Plan`]); a **rewrite plan** is what one answer is
//!   rewritten by ([`rewrite::RewritePlan`]).
//! * **permit** / **denial**: what [`policy::Plan::decide`] gives.
//! * **grant** (in `rewrite`): one alternative of a rewrite rule, from one permission.
//! * **ticket**: what `limits` gives for an admitted request, charged while records are released.
//! * **record**: a business object in an answer; the *audit* record is [`audit::Record`].
//! * **downstream** / **upstream**: towards the caller / towards the CRM.
//! * **cut**: ending a stream unfinished because what follows cannot be screened.

pub mod base;

pub mod telemetry;

pub mod store;

pub mod rewrite;

pub mod identity;

pub mod policy;

pub mod request;

pub mod upstream;

pub mod response;

pub mod limits;

pub mod grants;

pub mod audit;

pub mod analysis;

pub mod proxy;

pub mod admin;

pub mod app;

pub mod cli;
