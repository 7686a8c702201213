//! JSON Schemas: of the control socket's methods, made from the types that
//! travel over it, and of the config file.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::proto::{Access, Event, METHODS, Method, RpcError};

/// The config file's schema, as mvswitch's own types make it.
const CONFIG: &str = include_str!("../../schema/config.json");

/// The JSON Schema of the config file.
#[must_use]
pub const fn config() -> &'static str {
    CONFIG
}

/// Every method of the control socket: name, what it does, who may call it, and
/// the schemas of parameters and result. Schemas refer to `$defs` of the document.
#[must_use]
pub fn control() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let mut method = |method: &Method| {
        let access = match method.access {
            Access::Read => "read",
            Access::Write => "write",
        };
        json!({
            "method": method.name,
            "about": method.about,
            "access": access,
            "params": (method.params)(&mut generator),
            "result": (method.result)(&mut generator),
        })
    };
    let methods: Vec<Value> = METHODS.iter().map(&mut method).collect();
    let event = generator.subschema_for::<Event>();
    let error = generator.subschema_for::<RpcError>();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "mvswitch control socket",
        "description": "JSON-RPC 2.0, one object per line. `access` says who may call a method: \
                        whoever may connect (read), or whoever may change the switch (write).",
        "methods": methods,
        "notifications": [{ "method": "event", "about": "A change, after `monitor`.", "params": event }],
        "error": error,
        "$defs": generator.take_definitions(true),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_method_has_its_schemas() {
        let schema = control();
        let methods = schema["methods"].as_array().unwrap();
        assert_eq!(methods.len(), METHODS.len());
        for method in methods {
            assert!(method["params"].is_object() && method["result"].is_object(), "{method}");
        }
        let add = methods.iter().find(|method| method["method"] == "link.add").unwrap();
        assert_eq!(add["access"], "write");
        assert_eq!(add["params"]["additionalProperties"], false);
        assert_eq!(add["params"]["required"], json!(["name", "link"]));
        let mut found = Vec::new();
        references(&schema, &mut found);
        assert!(!found.is_empty());
        for reference in found {
            assert!(schema.pointer(&reference[1..]).is_some(), "{reference}");
        }
    }
}
