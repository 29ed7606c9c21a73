//! What a decision gives: a [`Permit`] that the later stages work under, or a [`Denial`].
//!
//! Their fields are readable everywhere and writable only here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::rewrite::condition::Params;
use crate::rewrite::mask::Mask;
use crate::rewrite::{Grant, Pairs, Path, RecordRule, RewritePlan};

use super::batch::{BatchPermit, InnerPermit};
use super::body::BodyForms;
use super::operation::{Action, Operation};
use super::tree::Tree;

/// Facts of a route that later stages need.
#[derive(Clone, Debug)]
pub struct RouteFacts {
    /// The route as the policy writes it (`GET /api/v1/customers/{id}`): for metrics, logs and the audit.
    pub name: Arc<str>,
    /// The api it belongs to, which names the upstream in `fieldgate.yaml`.
    pub api: Arc<str>,
    /// The resource, if it has one.
    pub resource: Option<Arc<str>>,
    /// The action, if it has one.
    pub action: Option<Action>,
    /// A public route: needs no principal, bytes pass untouched.
    pub public: bool,
    /// Whether the answer holds at most one record, so that one that is not released is answered like one that
    /// does not exist.
    pub single: bool,
    /// How refusals of this api look.
    pub denial: Arc<DenialShape>,
    /// What of this api's own errors passes; `None`: nothing.
    pub errors: Option<Arc<ErrorShape>>,
    /// What of answers later requests may refer to.
    pub remember: Arc<[Remember]>,
    /// Whether absolute URLs of the upstream in answers point back at the gateway.
    pub rewrite_origin: bool,
    /// How bodies hold their JSON.
    pub body_as: BodyForms,
    /// Request headers passed upstream beside the fixed ones, lower case.
    pub request_headers: Vec<Arc<str>>,
    /// Answer headers passed downstream beside the fixed ones, lower case.
    pub response_headers: Vec<Arc<str>>,
}

/// A value of an answer that later requests may refer to.
#[derive(Clone, Debug)]
pub struct Remember {
    /// What it is called.
    pub name: Arc<str>,
    /// Its place in the body.
    pub path: Option<Path>,
    /// The header it stands in.
    pub header: Option<Arc<str>>,
}

/// A value that a request refers to, which was remembered or means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recall {
    /// The api.
    pub api: Arc<str>,
    /// What it is called.
    pub name: Arc<str>,
    /// The value.
    pub value: String,
}

/// What a remembered value stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The resource it was given for.
    pub resource: Arc<str>,
    /// The action it was given for.
    pub action: Arc<str>,
    /// The roles that were held then.
    pub roles: Vec<Arc<str>>,
}

/// How an api reports errors, and what of that passes.
#[derive(Clone, Debug)]
pub struct ErrorShape {
    /// Where an answer with a good status says that it is an error, and what stands there if it is none.
    pub told: Option<(Path, Vec<Tree>)>,
    /// The places that pass, some masked. Single values only: a container never does.
    pub kept: Vec<(Path, Option<Arc<Mask>>)>,
}

/// How an api says no.
#[derive(Clone, Debug)]
pub struct DenialShape {
    /// The status for a denial; `None`: the natural one (401, 403, 404, 429 …).
    pub status: Option<http::StatusCode>,
    /// The content type of the body.
    pub content_type: Arc<str>,
    /// The body; `{{message}}`, `{{code}}` and `{{id}}` are replaced by JSON texts with quotes.
    pub body: Arc<str>,
}

/// Leave to send one request upstream and to rewrite its answer. Only [`Plan::decide`](super::Plan::decide) makes one.
#[derive(Clone, Debug)]
pub struct Permit {
    pub(super) id: uuid::Uuid,
    pub(super) policy_version: Arc<str>,
    pub(super) route: Arc<RouteFacts>,
    pub(super) operation: Arc<Operation>,
    pub(super) roles: Arc<[Arc<str>]>,
    pub(super) rewrite: Arc<RewritePlan>,
    pub(super) params: Params,
    pub(super) write: Option<Arc<WriteRule>>,
    pub(super) query: Arc<QueryRule>,
    pub(super) columns: Option<Arc<AskedColumns>>,
    pub(super) pre_read: Option<Arc<PreRead>>,
    pub(super) limits: Arc<[Arc<LimitRule>]>,
    pub(super) rules: Arc<[Arc<str>]>,
    pub(super) batch: Option<Arc<BatchPermit>>,
}

impl Permit {
    /// Identifies the decision, in the audit and in the request id.
    pub fn id(&self) -> uuid::Uuid {
        self.id
    }

    /// The version of the policy that decided (a hash of its files).
    pub fn policy_version(&self) -> &Arc<str> {
        &self.policy_version
    }

    /// The route.
    pub fn route(&self) -> &Arc<RouteFacts> {
        &self.route
    }

    /// The request as it was judged.
    pub fn operation(&self) -> &Operation {
        &self.operation
    }

    /// The roles that the principal holds now.
    pub fn roles(&self) -> &[Arc<str>] {
        &self.roles
    }

    /// How the answer is rewritten. For [`RouteFacts::public`] routes it is not used.
    pub fn rewrite(&self) -> &Arc<RewritePlan> {
        &self.rewrite
    }

    /// The values for the rewrite plan's conditions.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// What a body may set; `None` where the action takes no body.
    pub fn write(&self) -> Option<&Arc<WriteRule>> {
        self.write.as_ref()
    }

    /// What query parameters may name.
    pub fn query(&self) -> &QueryRule {
        &self.query
    }

    /// The columns that positional rows are asked for with.
    pub fn columns(&self) -> Option<&AskedColumns> {
        self.columns.as_deref()
    }

    /// A record to be fetched and judged before the request may be sent (writes under a record condition).
    pub fn pre_read(&self) -> Option<&Arc<PreRead>> {
        self.pre_read.as_ref()
    }

    /// The limits it is charged to.
    pub fn limits(&self) -> &[Arc<LimitRule>] {
        &self.limits
    }

    /// The requests within, where it is for a batch: the batch itself asks for nothing.
    pub fn batch(&self) -> Option<&BatchPermit> {
        self.batch.as_deref()
    }

    /// The permits of the requests of a batch, or this one.
    pub fn parts(&self) -> impl Iterator<Item = &Self> {
        let inner = self.batch().into_iter().flat_map(BatchPermit::items).map(InnerPermit::permit);
        let own = self.batch.is_none().then_some(self);
        own.into_iter().chain(inner)
    }

    /// The names of the permissions and guards that were considered, for the audit.
    pub fn rules(&self) -> &[Arc<str>] {
        &self.rules
    }
}

/// What a request body may set.
#[derive(Clone, Debug)]
pub struct WriteRule {
    /// Where the records are in the body, and which fields may be set: fields that are editable are
    /// `Access::Show`, everything else is `Access::Hide`. A body is passed through a `Rewriter` with this plan; a
    /// field counted as hidden, or an unknown one, was not editable.
    ///
    /// Where there is a [`PreRead`], this is what may be set whichever permissions apply to the record; once the
    /// record is read, [`WriteRule::narrowed`] to those that do apply gives more.
    pub plan: Arc<RewritePlan>,
    /// What happens with a field that is not editable.
    pub on_uneditable: UneditableRule,
    /// Masks that the principal may have been shown, by field path (dotted): a value one of them could have
    /// written is refused.
    pub masks: Vec<(Path, Arc<Mask>)>,
    /// Where the record is in the body.
    pub at: Path,
    /// Places that may be set without being shown.
    pub blind: Vec<Path>,
    /// Says which permissions apply to the record as it will be, where a write could change that.
    pub after: Option<Arc<RewritePlan>>,
    pub(super) rule: RecordRule,
    /// What else of the body passes: it was judged when the route was found, or says nothing about fields.
    pub(super) keep: Vec<Path>,
    pub(super) grants: Vec<Grant>,
}

impl WriteRule {
    /// The plan for a record to which exactly the named permissions apply: those that the pre-read counted in
    /// [`Counts::grants`](crate::rewrite::Counts::grants).
    pub fn narrowed(&self, applied: &BTreeSet<Arc<str>>) -> RewritePlan {
        let grants = self.grants(applied).cloned().collect();
        super::assemble::write_plan_of(&self.rule, &self.at, &self.keep, grants)
    }

    /// What the named permissions let be set.
    pub fn grants(&self, applied: &BTreeSet<Arc<str>>) -> impl Iterator<Item = &Grant> {
        self.grants.iter().filter(|grant| applied.contains(&grant.name))
    }

    /// Where name/value pairs and texts that hold JSON stand in a record.
    pub fn shape(&self) -> (&[Pairs], &[Path]) {
        (&self.rule.pairs, &self.rule.embedded)
    }
}

/// What happens with a field in a body that is not editable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UneditableRule {
    /// 403, naming the fields.
    Refuse,
    /// It is taken out of the body.
    Strip,
    /// It keeps the value that it has.
    Restore,
}

/// A record to be read from the upstream and released under `plan` before a write under a record condition is sent.
#[derive(Clone, Debug)]
pub struct PreRead {
    /// Method of the read route.
    pub method: http::Method,
    /// Path and query of the read.
    pub path_and_query: String,
    /// Releases the record if the write's permissions apply to it as it is now.
    pub plan: Arc<RewritePlan>,
    /// Whether the write needs the record itself: `plan` then releases all of it.
    pub keep: bool,
}

/// What query parameters may do.
#[derive(Clone, Debug, Default)]
pub struct QueryRule {
    /// The parameter that lists the wanted fields, comma-separated.
    pub select: Option<Arc<str>>,
    /// The parameter that names the sorting fields (`-name`, `name desc`, comma-separated).
    pub sort: Option<Arc<str>>,
    /// Parameters that filter by the field of the same name.
    pub filter: Vec<Arc<str>>,
    /// Free-text search parameters: allowed only if every field in scope is shown; here: those allowed.
    pub search: Vec<Arc<str>>,
    /// The page-size parameter and its largest value.
    pub page_size: Option<(Arc<str>, u64)>,
    /// Parameters passed unread (paging cursors and the like), lower-cased names compared exactly.
    pub pass: Vec<Arc<str>>,
    /// The parameter that names the columns of positional rows.
    pub columns: Option<Arc<str>>,
    /// The parameter that asks for related records with the records, in a dialect.
    pub expand: Option<Arc<str>>,
    /// What may be asked of related records, by resource; [`QueryFields::relations`] are places in it.
    pub related: Vec<Arc<QueryFields>>,
    /// What may stand in a body that sets nothing.
    pub body: Vec<BodyPart>,
    /// The language of filters and orders; `None`: plain names.
    pub dialect: Option<Dialect>,
    /// Parameters that were refused at load or are not listed above are refused.
    pub fields: Arc<QueryFields>,
}

/// A place in a body that sets nothing.
#[derive(Clone, Debug)]
pub struct BodyPart {
    /// The place; `[*]` for every element of a list.
    pub path: Path,
    /// What it means.
    pub meaning: Meaning,
}

/// What a part of a request means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// It lists the wanted fields.
    Select,
    /// It names the sorting fields.
    Sort,
    /// It filters: by the dialect's text, or it names a field that is filtered by.
    Filter,
    /// It searches everything.
    Search,
    /// It says how many records at most.
    PageSize(u64),
    /// It names the columns of positional rows.
    Columns,
    /// It says nothing about fields, or was judged when the route was found.
    Pass,
}

/// A language of filters and orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Filter and order texts of Kingdee K3Cloud.
    Kingdee,
    /// `$filter` and `$orderby` of OData version 4.
    OData,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Kingdee, Self::OData];

    /// The name policies use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kingdee => "kingdee",
            Self::OData => "odata",
        }
    }
}

/// The columns of positional rows that are asked for upstream.
#[derive(Clone, Debug)]
pub struct AskedColumns {
    /// Their names, in order.
    pub names: Vec<Arc<str>>,
    /// What stands between them, where they are one text.
    pub split: Box<str>,
}

/// What a query may name: the fields shown in clear on every record the principal may list.
#[derive(Clone, Debug, Default)]
pub struct QueryFields {
    /// Dotted names of the fields that may be filtered, sorted and grouped by.
    pub queryable: BTreeSet<Arc<str>>,
    /// Dotted names of the fields that may be selected (released in some way); others are trimmed or refused.
    pub selectable: BTreeSet<Arc<str>>,
    /// The relations that may be expanded, and the place of the related resource in [`QueryRule::related`].
    pub relations: BTreeMap<Arc<str>, usize>,
    /// Members of related records that conditions and the key read, whatever is selected.
    pub needs: BTreeSet<Arc<str>>,
}

/// One limit of the policy that applies to a permit.
#[derive(Clone, Debug)]
pub struct LimitRule {
    /// Its name.
    pub name: Arc<str>,
    /// Whom it counts.
    pub per: Per,
    /// The roles it is about, which [`Per::Role`] counts apart; empty: all of them.
    pub roles: Arc<[Arc<str>]>,
    /// What it counts.
    pub unit: LimitUnit,
    /// How much.
    pub amount: u64,
    /// For how long; ignored for [`LimitUnit::Concurrent`].
    pub window: Duration,
    /// For [`LimitUnit::Requests`]: how many at once.
    pub burst: Option<u64>,
    /// Share of the amount (0..1) from which a warning is logged and counted.
    pub warn_at: Option<f64>,
    /// What happens beyond.
    pub on_exceed: OnExceed,
    /// Whether the request is refused when the counter cannot be read or written. Exports always are.
    pub fail_closed: bool,
}

/// Whom a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Per {
    /// Each principal, whatever key, token or address it comes by.
    Principal,
    /// Each role, all its holders together.
    Role,
    /// Each credential.
    Key,
    /// Each address.
    Ip,
    /// Everybody together.
    All,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LimitUnit {
    /// Requests (GCRA, by governor).
    Requests,
    /// Records released.
    Records,
    /// Different records released (by key).
    DistinctRecords,
    /// Bytes given out.
    Bytes,
    /// Requests running at the same time.
    Concurrent,
}

/// What happens beyond a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnExceed {
    /// 429 with `Retry-After`; a running stream is cut.
    Refuse,
    /// It passes and is logged and counted.
    Warn,
    /// The principal is frozen: it gets nothing more until somebody lifts it.
    Freeze,
}

/// A refusal by the policy.
#[derive(Clone, Debug)]
pub struct Denial {
    /// Why.
    pub reason: DenialReason,
    /// The route, where one matched.
    pub route: Option<Arc<RouteFacts>>,
    /// How the api says no, where the api is known.
    pub shape: Option<Arc<DenialShape>>,
    /// The version of the policy that decided.
    pub policy_version: Arc<str>,
}

impl Denial {
    /// Whether this guard refused.
    pub(super) fn is_by_guard(&self, guard: &str) -> bool {
        matches!(self.reason.innermost(), DenialReason::Guard { name, .. } if **name == *guard)
    }
}

/// Why the policy refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DenialReason {
    /// The path or query cannot be judged safely (dot segments, encoded slashes, broken escapes …): 400.
    #[error("request target cannot be judged: {0}")]
    Target(&'static str),
    /// No route matches: 404.
    #[error("no route matches")]
    NoRoute,
    /// No permission of the principal's roles covers action and resource: 403.
    #[error("no permission for `{action}` on `{resource}`")]
    NoPermission {
        /// The action.
        action: Action,
        /// The resource.
        resource: Arc<str>,
    },
    /// A part of the request names fields that the principal may not ask for, or names them in no readable way: 403.
    #[error("`{part}` cannot be used as given")]
    Asked {
        /// The part, as the policy names it.
        part: Arc<str>,
    },
    /// A guard is not met: 403, or a step-up challenge (401, RFC 9470).
    #[error("guard `{name}` is not met")]
    Guard {
        /// The guard.
        name: Arc<str>,
        /// The `acr_values` of the challenge, if it names one.
        step_up: Option<Arc<str>>,
    },
    /// A request of a batch is refused, and with it the batch.
    #[error("request {item} of the batch: {why}")]
    Item {
        /// Which one, from 1.
        item: usize,
        /// Why.
        why: Box<DenialReason>,
    },
}

impl DenialReason {
    /// The natural status of the refusal, where the api does not have its own.
    pub fn status(&self) -> http::StatusCode {
        match self {
            Self::Target(_) => http::StatusCode::BAD_REQUEST,
            Self::NoRoute => http::StatusCode::NOT_FOUND,
            // A step-up challenge (RFC 9470 section 3).
            Self::Guard { step_up: Some(_), .. } => http::StatusCode::UNAUTHORIZED,
            Self::NoPermission { .. } | Self::Asked { .. } | Self::Guard { step_up: None, .. } => {
                http::StatusCode::FORBIDDEN
            }
            // The batch itself was found.
            Self::Item { why, .. } if **why == Self::NoRoute => http::StatusCode::FORBIDDEN,
            Self::Item { why, .. } => why.status(),
        }
    }
}
