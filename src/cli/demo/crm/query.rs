//! Paging, sorting and filtering, the way old CRMs do it: any column, and errors that show the SQL.

use std::cmp::Ordering;
use std::sync::RwLock;

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::data::Customer;
use super::store::Store;

/// What a list or an export was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) page: u64,
    pub(super) page_size: u64,
    pub(super) format: Option<String>,
    sort: Option<(String, Direction)>,
    /// Column and value; all must match.
    filters: Vec<(String, String)>,
    /// Text to be found in any of [`SEARCHED`].
    search: Option<String>,
    /// The members wanted; none named: all.
    fields: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

/// A complaint about a query, with the SQL it would have become.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "Unknown column '{column}' in '{clause}' (SQLSTATE 42S22): SELECT * FROM t_customer {clause} {column}"
)]
pub(super) struct QueryError {
    column: String,
    clause: &'static str,
}

impl Query {
    /// Reads the query part of a URL.
    pub(super) fn parse(text: &str) -> Result<Self, QueryError> {
        let mut query = Self { page: 1, page_size: 20, ..Self::default() };
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name), decode(value));
            match name.as_str() {
                "page" => query.page = value.parse().unwrap_or(1).max(1),
                "limit" | "page_size" => query.page_size = value.parse().unwrap_or(20).clamp(1, MAX_PAGE),
                "format" => query.format = Some(value),
                "q" => query.search = Some(value.to_lowercase()),
                "fields" => query.fields = value.split(',').map(str::to_owned).collect(),
                "order_by" => query.sort = Some(sort(&value)?),
                _ => {
                    known_column(&name, "WHERE")?;
                    query.filters.push((name, value));
                }
            }
        }
        Ok(query)
    }

    /// Whether every customer is meant, in the order of their numbers.
    fn is_plain(&self) -> bool {
        self.sort.is_none() && self.filters.is_empty() && self.search.is_none()
    }

    /// Whether a customer is meant.
    pub(super) fn matches(&self, customer: &Customer) -> bool {
        let filtered = self.filters.iter().all(|(column, wanted)| {
            let value = text_of(member(customer, column));
            if column == "name" { value.contains(wanted.as_str()) } else { value == *wanted }
        });
        filtered
            && self.search.as_ref().is_none_or(|wanted| {
                SEARCHED
                    .iter()
                    .any(|column| text_of(member(customer, column)).to_lowercase().contains(wanted))
            })
    }

    /// Keeps the wanted members.
    pub(super) fn select(&self, mut customer: Customer) -> Customer {
        if !self.fields.is_empty() {
            customer.retain(|name, _| self.fields.iter().any(|field| field == name));
        }
        customer
    }

    /// The numbers of one page, and how many there are in all.
    pub(super) async fn page(&self, store: &RwLock<Store>) -> (Vec<u64>, u64) {
        let ids = if self.is_plain() { read(store).ids(1, usize::MAX) } else { self.scan(store).await };
        let total = ids.len() as u64;
        let skip = (self.page - 1).saturating_mul(self.page_size);
        let page = ids
            .into_iter()
            .skip(usize::try_from(skip).unwrap_or(usize::MAX))
            .take(usize::try_from(self.page_size).unwrap_or(usize::MAX));
        (page.collect(), total)
    }

    /// Looks at every customer, letting others work in between.
    async fn scan(&self, store: &RwLock<Store>) -> Vec<u64> {
        let mut found: Vec<(Option<Value>, u64)> = Vec::new();
        let mut from = 1;
        loop {
            let ids = read(store).ids(from, SCAN_BATCH);
            let Some(last) = ids.last() else { break };
            from = last + 1;
            self.collect(&read(store), ids, &mut found);
            tokio::task::yield_now().await;
        }
        if let Some((_, direction)) = &self.sort {
            found.sort_by(|a, b| {
                let order = compare(a.0.as_ref(), b.0.as_ref());
                if *direction == Direction::Down { order.reverse() } else { order }
            });
        }
        found.into_iter().map(|(_, id)| id).collect()
    }

    fn collect(&self, store: &Store, ids: Vec<u64>, found: &mut Vec<(Option<Value>, u64)>) {
        found.extend(ids.into_iter().filter_map(|id| {
            let customer = store.get(id).filter(|customer| self.matches(customer))?;
            let key = self.sort.as_ref().map(|(column, _)| member(&customer, column).clone());
            Some((key, id))
        }));
    }
}

/// Reads the store; a panic elsewhere does not stop it.
pub(super) fn read(store: &RwLock<Store>) -> std::sync::RwLockReadGuard<'_, Store> {
    store.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

/// `name`, `-name`, `name desc`.
fn sort(text: &str) -> Result<(String, Direction), QueryError> {
    let (column, direction) = match (text.strip_prefix('-'), text.rsplit_once(' ')) {
        (Some(column), _) => (column, Direction::Down),
        (None, Some((column, word))) if word.eq_ignore_ascii_case("desc") => (column, Direction::Down),
        (None, Some((column, word))) if word.eq_ignore_ascii_case("asc") => (column, Direction::Up),
        _ => (text, Direction::Up),
    };
    known_column(column, "ORDER BY")?;
    Ok((column.to_owned(), direction))
}

fn known_column(name: &str, clause: &'static str) -> Result<(), QueryError> {
    if COLUMNS.contains(&name) { Ok(()) } else { Err(QueryError { column: name.to_owned(), clause }) }
}

/// A member by its dotted name.
pub(super) fn member<'c>(customer: &'c Customer, column: &str) -> &'c Value {
    let mut steps = column.split('.');
    let first = steps.next().and_then(|name| customer.get(name)).unwrap_or(&Value::Null);
    steps.fold(first, |value, name| value.get(name).unwrap_or(&Value::Null))
}

/// A value as filters and CSV cells write it.
pub(super) fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text_of).collect::<Vec<_>>().join(";"),
        other => other.to_string(),
    }
}

fn compare(a: Option<&Value>, b: Option<&Value>) -> Ordering {
    match (a, b) {
        (Some(Value::Number(a)), Some(Value::Number(b))) => match (a.as_u64(), b.as_u64()) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => a.as_f64().unwrap_or(0.0).total_cmp(&b.as_f64().unwrap_or(0.0)),
        },
        (a, b) => a.map(text_of).cmp(&b.map(text_of)),
    }
}

/// What may be filtered and sorted by.
const COLUMNS: [&str; 24] = [
    "id",
    "uid",
    "name",
    "kind",
    "industry",
    "region",
    "status",
    "level",
    "tags",
    "owner_id",
    "owner.id",
    "phone",
    "mobile",
    "email",
    "wechat",
    "address.city",
    "address.country",
    "id_card",
    "bank.account",
    "bank.name",
    "credit_limit",
    "balance_due",
    "created_at",
    "updated_at",
];

/// What `q` looks into, hidden fields included: an oracle unless the gateway refuses it.
const SEARCHED: [&str; 5] = ["name", "phone", "email", "id_card", "address.city"];

/// Largest page.
const MAX_PAGE: u64 = 1_000;

/// How many customers are looked at in one go.
const SCAN_BATCH: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    async fn page(text: &str) -> (Vec<u64>, u64) {
        Query::parse(text).expect("a good query").page(&RwLock::new(Store::new(2026, 300))).await
    }

    #[tokio::test]
    async fn pages_follow_each_other_without_gaps() {
        assert_eq!(page("page=1&limit=3").await, (vec![1, 2, 3], 300));
        assert_eq!(page("page=2&page_size=3").await, (vec![4, 5, 6], 300));
        assert_eq!(page("page=101&limit=3").await, (vec![], 300));
        assert_eq!(page("page=99999999999999999999&limit=0").await, (vec![1], 300));
    }

    #[tokio::test]
    async fn it_sorts_by_numbers_as_numbers_and_in_both_directions() {
        let store = RwLock::new(Store::new(2026, 300));
        for text in ["order_by=-credit_limit", "order_by=credit_limit%20desc", "order_by=credit_limit+DESC"] {
            let (ids, _) = Query::parse(&format!("{text}&limit=300")).expect("good").page(&store).await;
            let limits: Vec<f64> = ids
                .iter()
                .map(|id| read(&store).get(*id).expect("there")["credit_limit"].as_f64().expect("a number"))
                .collect();
            assert!(limits.is_sorted_by(|a, b| a >= b), "{text}: {limits:?}");
        }
    }

    #[tokio::test]
    async fn it_filters_also_by_what_others_may_not_see() {
        assert_eq!(page("phone=13800138000").await, (vec![42], 1));
        assert_eq!(page("q=WANG.FANG%40").await, (vec![42], 1));
        assert_eq!(page("owner_id=li.na&limit=2").await, (vec![3, 6], 100));
        assert_eq!(page("name=%E7%8E%8B%E8%8A%B3&id=42").await, (vec![42], 1));
    }

    #[test]
    fn an_unknown_column_is_answered_with_the_statement() {
        let error = Query::parse("order_by=salary").expect_err("no such column").to_string();
        assert_eq!(
            error,
            "Unknown column 'salary' in 'ORDER BY' (SQLSTATE 42S22): SELECT * FROM t_customer ORDER BY salary"
        );
    }
}
