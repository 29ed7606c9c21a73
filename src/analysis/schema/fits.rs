//! What the tests ask of a schema: whether a value fits, what is not described, which mappings are closed.

use std::collections::BTreeSet;

use serde_json::Value;

/// The keys of a closed mapping.
pub(crate) fn properties(schema: &Value, pointer: &str) -> BTreeSet<String> {
    let at = schema.pointer(pointer).unwrap_or_else(|| panic!("{pointer}"));
    assert_eq!(at["additionalProperties"], false, "{pointer}");
    at["properties"].as_object().unwrap().keys().cloned().collect()
}

/// Where the schema describes mappings that take no other keys.
pub(crate) fn strict(schema: &Value) -> BTreeSet<String> {
    fn look(at: &Value, pointer: &str, found: &mut BTreeSet<String>) {
        let inner: Vec<(String, &Value)> = match at {
            Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), value)).collect(),
            Value::Array(items) => {
                items.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect()
            }
            _ => Vec::new(),
        };
        if at["additionalProperties"] == false {
            found.insert(pointer.to_owned());
        }
        inner.iter().for_each(|(name, value)| look(value, &format!("{pointer}/{name}"), found));
    }
    let mut found = BTreeSet::new();
    look(schema, "", &mut found);
    found
}

/// Keys that say nothing about themselves.
pub(crate) fn undescribed(schema: &Value) -> Vec<String> {
    fn look(at: &Value, pointer: &str, found: &mut Vec<String>) {
        let Some(members) = at.as_object() else { return };
        if let Some(properties) = members.get("properties").and_then(Value::as_object) {
            for (name, value) in properties {
                if value.get("description").is_none() && value.get("$ref").is_none() {
                    found.push(format!("{pointer}/{name}"));
                }
                look(value, &format!("{pointer}/{name}"), found);
            }
        }
        members.iter().filter(|(_, value)| value.is_object()).for_each(|(name, value)| {
            if name != "properties" {
                look(value, &format!("{pointer}/{name}"), found);
            }
        });
    }
    let mut found = Vec::new();
    look(schema, "", &mut found);
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        look(definition, name, &mut found);
    }
    found
}

/// The parts of JSON Schema that the schema uses; any other keyword fails the test. `None`: the value fits.
pub(crate) fn wrong(root: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
    for (keyword, rule) in schema.as_object().unwrap() {
        let fits = match keyword.as_str() {
            "description" | "examples" | "default" | "title" | "$schema" | "$id" | "$defs" => true,
            "$ref" => {
                let target = root.pointer(rule.as_str().unwrap().trim_start_matches('#')).unwrap();
                if let Some(found) = wrong(root, target, value, at) {
                    return Some(found);
                }
                true
            }
            "type" => match rule {
                Value::Array(kinds) => kinds.iter().any(|kind| is(kind, value)),
                kind => is(kind, value),
            },
            "enum" => rule.as_array().unwrap().contains(value),
            "anyOf" => rule.as_array().unwrap().iter().any(|one| wrong(root, one, value, at).is_none()),
            "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap()),
            "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= rule.as_u64().unwrap()),
            "minProperties" => {
                value.as_object().is_none_or(|members| members.len() as u64 >= rule.as_u64().unwrap())
            }
            "pattern" => {
                let pattern = regex::Regex::new(rule.as_str().unwrap()).unwrap();
                value.as_str().is_none_or(|text| pattern.is_match(text))
            }
            "required" => value.as_object().is_none_or(|members| {
                rule.as_array().unwrap().iter().all(|name| members.contains_key(name.as_str().unwrap()))
            }),
            "items" => {
                let found = value.as_array().into_iter().flatten().enumerate();
                let found = found.filter_map(|(i, item)| wrong(root, rule, item, &format!("{at}[{i}]")));
                if let Some(found) = found.into_iter().next() {
                    return Some(found);
                }
                true
            }
            "properties" | "additionalProperties" => {
                let mut members = value.as_object().into_iter().flatten();
                let found = members.find_map(|(name, member)| {
                    let declared = schema.get("properties").and_then(|known| known.get(name));
                    match (keyword.as_str(), declared, rule) {
                        ("properties", Some(rule), _) => wrong(root, rule, member, &format!("{at}.{name}")),
                        ("additionalProperties", None, Value::Bool(false)) => Some(format!("{at}.{name}")),
                        ("additionalProperties", None, rule) => {
                            wrong(root, rule, member, &format!("{at}.{name}"))
                        }
                        _ => None,
                    }
                });
                if found.is_some() {
                    return found;
                }
                true
            }
            other => panic!("the schema uses `{other}`"),
        };
        if !fits {
            return Some(format!("{at}: {keyword}"));
        }
    }
    None
}

fn is(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other}"),
    }
}
