//! What the CRM remembers: generated customers are made again whenever they are asked for; only those that were
//! created, changed or deleted are kept. So it takes the same memory with 2,000 customers and with 50,000.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::data::{Customer, Generator};

/// All customers.
#[derive(Debug)]
pub(super) struct Store {
    generator: Generator,
    generated: u64,
    next_id: u64,
    /// By number; `None`: deleted.
    changed: BTreeMap<u64, Option<Customer>>,
}

/// Why a change was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum StoreError {
    #[error("Customer {0} does not exist")]
    Unknown(u64),
    #[error("table customers is full")]
    Full,
    #[error("Column '{0}' cannot be changed (SQLSTATE 42000)")]
    Fixed(String),
    /// As sloppy as the systems it stands for: it repeats the value, and the record it belongs to.
    #[error("Incorrect value {value} for column '{column}' of customer {id} ({name})")]
    Value { column: &'static str, value: String, id: u64, name: String },
}

impl Store {
    /// A store of `generated` customers, numbered from 1.
    pub(super) fn new(seed: u64, generated: u64) -> Self {
        Self { generator: Generator::new(seed), generated, next_id: generated + 1, changed: BTreeMap::new() }
    }

    /// One customer.
    pub(super) fn get(&self, id: u64) -> Option<Customer> {
        match self.changed.get(&id) {
            Some(changed) => changed.clone(),
            None if (1..=self.generated).contains(&id) => Some(self.generator.customer(id)),
            None => None,
        }
    }

    /// The numbers in use from `from` on, at most `limit` of them.
    pub(super) fn ids(&self, from: u64, limit: usize) -> Vec<u64> {
        (from.max(1)..self.next_id)
            .filter(|id| {
                self.changed.get(id).map_or(*id <= self.generated, |customer: &Option<_>| customer.is_some())
            })
            .take(limit)
            .collect()
    }

    /// Adds a customer.
    pub(super) fn insert(&mut self, members: Customer) -> Result<Customer, StoreError> {
        if self.changed.len() >= MAX_CHANGED {
            return Err(StoreError::Full);
        }
        let id = self.next_id;
        let mut customer = Customer::from_iter([("id".to_owned(), json!(id))]);
        merge(id, &mut customer, members)?;
        self.next_id += 1;
        self.changed.insert(id, Some(customer.clone()));
        Ok(customer)
    }

    /// Changes the members that are given; the others stay.
    pub(super) fn update(&mut self, id: u64, members: Customer) -> Result<Customer, StoreError> {
        let mut customer = self.get(id).ok_or(StoreError::Unknown(id))?;
        if self.changed.len() >= MAX_CHANGED && !self.changed.contains_key(&id) {
            return Err(StoreError::Full);
        }
        merge(id, &mut customer, members)?;
        self.changed.insert(id, Some(customer.clone()));
        Ok(customer)
    }

    /// Removes a customer.
    pub(super) fn delete(&mut self, id: u64) -> Result<(), StoreError> {
        self.get(id).ok_or(StoreError::Unknown(id))?;
        if self.changed.len() >= MAX_CHANGED && !self.changed.contains_key(&id) {
            return Err(StoreError::Full);
        }
        self.changed.insert(id, None);
        Ok(())
    }
}

fn merge(id: u64, customer: &mut Customer, members: Customer) -> Result<(), StoreError> {
    for (name, value) in members {
        if name == "id" {
            if value.as_u64() == Some(id) {
                continue;
            }
            return Err(StoreError::Fixed(name));
        }
        if let Some(column) = TEXT_COLUMNS.iter().find(|column| **column == name)
            && !(value.is_string() || value.is_null())
        {
            let name = customer.get("name").and_then(Value::as_str).unwrap_or("new").to_owned();
            return Err(StoreError::Value { column, value: value.to_string(), id, name });
        }
        customer.insert(name, value);
    }
    Ok(())
}

/// Columns that hold text.
const TEXT_COLUMNS: [&str; 9] =
    ["name", "industry", "region", "status", "phone", "mobile", "email", "wechat", "id_card"];

/// How many created, changed and deleted customers are kept.
const MAX_CHANGED: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn members(value: Value) -> Customer {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn a_change_is_kept_and_the_rest_stays() {
        let mut store = Store::new(1, 10);
        let before = store.get(4).expect("generated");
        store.update(4, members(json!({ "status": "lapsed" }))).expect("updated");
        let after = store.get(4).expect("still there");
        assert_eq!(after["status"], "lapsed");
        assert_eq!(after["phone"], before["phone"]);
    }

    #[test]
    fn a_deleted_customer_is_gone_and_its_number_is_not_used_again() {
        let mut store = Store::new(1, 3);
        store.delete(3).expect("deleted");
        assert_eq!(store.get(3), None);
        assert_eq!(store.delete(3), Err(StoreError::Unknown(3)));
        let new = store.insert(members(json!({ "name": "Acme" }))).expect("inserted");
        assert_eq!(new["id"], 4);
        assert_eq!(store.ids(1, 10), [1, 2, 4]);
        assert_eq!(store.ids(2, 1), [2]);
    }

    #[test]
    fn a_number_cannot_be_changed() {
        let mut store = Store::new(1, 3);
        assert_eq!(store.update(2, members(json!({ "id": 9 }))), Err(StoreError::Fixed("id".into())));
        assert!(store.update(2, members(json!({ "id": 2, "status": "trial" }))).is_ok());
    }

    #[test]
    fn a_wrong_type_is_refused_with_an_error_that_tells_too_much() {
        let mut store = Store::new(2026, 50);
        let error = store.update(42, members(json!({ "phone": 138 }))).expect_err("a number is no phone");
        assert_eq!(error.to_string(), "Incorrect value 138 for column 'phone' of customer 42 (王芳)");
    }

    #[test]
    fn it_takes_a_bounded_number_of_changes() {
        let mut store = Store::new(1, 0);
        for _ in 0..MAX_CHANGED {
            store.insert(Customer::new()).expect("room");
        }
        assert_eq!(store.insert(Customer::new()), Err(StoreError::Full));
    }
}
