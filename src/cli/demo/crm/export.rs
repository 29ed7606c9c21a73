//! All customers in one answer, made while it is sent: the next few are made when the reader has taken the last.

use std::sync::{Arc, RwLock};

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use serde_json::Value;

use crate::rewrite::codec::{Coding, Encoder};

use super::data::Customer;
use super::query::{Query, member, read, text_of};
use super::store::Store;

/// What an export is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// A header and a row for each customer.
    Csv,
    /// `{"data":[…],"total":…}`.
    Json,
}

/// An export being written. Asks for nothing in advance, so a slow reader slows it down.
pub(super) struct Export {
    store: Arc<RwLock<Store>>,
    query: Query,
    format: Format,
    encoder: Option<Encoder>,
    next_id: u64,
    written: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    Records,
    Done,
}

impl Export {
    /// An export of what `query` means.
    pub(super) fn new(store: Arc<RwLock<Store>>, query: Query, format: Format, coding: Coding) -> Self {
        let encoder = (coding != Coding::Identity).then(|| Encoder::new(coding));
        Self { store, query, format, encoder, next_id: 1, written: 0, state: State::Head }
    }

    /// The answer's bytes, piece by piece.
    pub(super) fn stream(self) -> impl Stream<Item = Bytes> {
        stream::unfold(self, |mut export| async move {
            // Lets the connection send what it has before more is made.
            tokio::task::yield_now().await;
            let piece = export.next()?;
            Some((piece, export))
        })
    }

    fn next(&mut self) -> Option<Bytes> {
        let mut text = Vec::with_capacity(PIECE_BYTES);
        match self.state {
            State::Head => {
                self.head(&mut text);
                self.state = State::Records;
            }
            State::Records => {}
            State::Done => return None,
        }
        if !self.records(&mut text) {
            self.tail(&mut text);
            self.state = State::Done;
        }
        Some(self.encoded(text).into())
    }

    fn head(&self, text: &mut Vec<u8>) {
        match self.format {
            Format::Csv => row(text, CSV_COLUMNS.iter().map(|column| (*column).to_owned())),
            Format::Json => text.extend_from_slice(b"{\"data\":["),
        }
    }

    /// Writes the next customers; `false` when there are no more.
    fn records(&mut self, text: &mut Vec<u8>) -> bool {
        while text.len() < PIECE_BYTES {
            let store = read(&self.store);
            let ids = store.ids(self.next_id, BATCH);
            let Some(last) = ids.last() else { return false };
            self.next_id = last + 1;
            for customer in ids.into_iter().filter_map(|id| store.get(id)) {
                if self.query.matches(&customer) {
                    write_record(self.format, self.written, text, &self.query.select(customer));
                    self.written += 1;
                }
            }
        }
        true
    }

    fn tail(&self, text: &mut Vec<u8>) {
        if self.format == Format::Json {
            text.extend_from_slice(format!("],\"total\":{}}}", self.written).as_bytes());
        }
    }

    fn encoded(&mut self, text: Vec<u8>) -> Vec<u8> {
        let Some(encoder) = &mut self.encoder else { return text };
        let mut out = Vec::new();
        encoder.push(&text, &mut out);
        if self.state == State::Done {
            encoder.finish(&mut out);
        } else {
            encoder.flush(&mut out);
        }
        out
    }
}

fn write_record(format: Format, before: u64, text: &mut Vec<u8>, customer: &Customer) {
    match format {
        Format::Csv => row(text, CSV_COLUMNS.iter().map(|column| text_of(member(customer, column)))),
        Format::Json => {
            if before > 0 {
                text.push(b',');
            }
            let record = serde_json::to_string(customer).unwrap_or_else(|_| Value::Null.to_string());
            text.extend_from_slice(record.as_bytes());
        }
    }
}

/// A row as RFC 4180 has it.
fn row(text: &mut Vec<u8>, cells: impl Iterator<Item = String>) {
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            text.push(b',');
        }
        if cell.contains(['"', ',', '\n', '\r']) {
            text.extend_from_slice(format!("\"{}\"", cell.replace('"', "\"\"")).as_bytes());
        } else {
            text.extend_from_slice(cell.as_bytes());
        }
    }
    text.extend_from_slice(b"\r\n");
}

/// The columns of the CSV export: nested members by their dotted names.
const CSV_COLUMNS: [&str; 22] = [
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
    "phone",
    "mobile",
    "email",
    "wechat",
    "address.city",
    "address.street",
    "id_card",
    "bank.name",
    "bank.account",
    "credit_limit",
    "balance_due",
    "created_at",
];

/// How many customers are made in one go.
const BATCH: usize = 16;

/// How much is sent in one piece, about.
const PIECE_BYTES: usize = 32 << 10;

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    async fn pieces(query: &str, format: Format, records: u64) -> Vec<Bytes> {
        let store = Arc::new(RwLock::new(Store::new(2026, records)));
        let query = Query::parse(query).expect("a good query");
        Export::new(store, query, format, Coding::Identity).stream().collect().await
    }

    #[tokio::test]
    async fn a_json_export_holds_every_customer_once() {
        let whole = pieces("", Format::Json, 700).await.concat();
        let value: Value = serde_json::from_slice(&whole).expect("JSON");
        let ids: Vec<u64> =
            value["data"].as_array().expect("a list").iter().filter_map(|c| c["id"].as_u64()).collect();
        assert_eq!(ids, (1..=700).collect::<Vec<_>>());
        assert_eq!(value["total"], 700);
    }

    #[tokio::test]
    async fn a_csv_export_has_one_row_each_and_quotes_what_must_be_quoted() {
        let whole =
            String::from_utf8(pieces("owner_id=li.na", Format::Csv, 700).await.concat()).expect("text");
        assert_eq!(whole.lines().count(), 1 + 233);
        assert!(whole.starts_with("id,uid,name,"));
        let mut cells = Vec::new();
        row(&mut cells, ["a,b".to_owned(), "say \"hi\"".to_owned(), "plain".to_owned()].into_iter());
        assert_eq!(cells, b"\"a,b\",\"say \"\"hi\"\"\",plain\r\n");
    }

    #[tokio::test]
    async fn it_comes_in_pieces_of_bounded_size() {
        let pieces = pieces("", Format::Json, 700).await;
        assert!(pieces.len() > 10);
        assert!(pieces.iter().all(|piece| piece.len() < 2 * PIECE_BYTES));
    }

    #[tokio::test]
    async fn an_empty_export_is_still_whole() {
        assert_eq!(pieces("", Format::Json, 0).await.concat(), b"{\"data\":[],\"total\":0}");
    }
}
