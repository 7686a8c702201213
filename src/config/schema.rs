//! The config file's JSON Schema, for editors.
//!
//! Generated from the types that read the file, so that it cannot miss a key.
//! It says less than the rules: what passes it can still be refused. Other tools'
//! names for keys are read, and not offered here. Shipped as `schema/config.json`; a test keeps the two in step.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use serde_json::Value;

use super::raw::Raw;

/// The JSON Schema (draft 7, which editors' TOML extensions know) of the config file.
#[must_use]
pub fn schema() -> Value {
    let settings = SchemaSettings::draft07().with_transform(NoNull);
    let mut schema = settings.into_generator().into_root_schema_for::<Raw>();
    schema.insert("title".to_owned(), "mvswitch config".into());
    schema.to_value()
}

/// TOML has no null: what may be left out is just not required.
#[derive(Clone, Debug)]
struct NoNull;

impl Transform for NoNull {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let Some(object) = schema.as_object_mut() else { return };
        // Formats of numbers are Rust's, and say nothing that the ranges do not.
        object.remove("format");
        if let Some(Value::String(text)) = object.get_mut("description") {
            // Lines end where the source's did.
            *text = text.replace('\n', " ");
        }
        if let Some(Value::Array(types)) = object.get_mut("type") {
            types.retain(|kind| kind != "null");
            if let [kind] = &types[..] {
                let kind = kind.clone();
                object.insert("type".to_owned(), kind);
            }
        }
        if let Some(Value::Array(kinds)) = object.get_mut("anyOf") {
            kinds.retain(|kind| kind.get("type").is_none_or(|kind| kind != "null"));
            if let [Value::Object(kind)] = &kinds[..] {
                let kind = kind.clone();
                object.remove("anyOf");
                object.extend(kind);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::super::tests::cases;
    use super::*;

    fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR"))
    }

    fn validator() -> jsonschema::Validator {
        jsonschema::draft7::new(&schema()).unwrap()
    }

    fn json(text: &str) -> Value {
        let value: toml::Value = toml::from_str(text).unwrap();
        serde_json::to_value(value).unwrap()
    }

    #[test]
    fn the_shipped_schema_is_that_of_the_types() {
        let file = root().join("schema/config.json");
        let wanted = format!("{}\n", serde_json::to_string_pretty(&schema()).unwrap());
        if std::env::var_os("MVSWITCH_BLESS").is_some() {
            std::fs::write(&file, &wanted).unwrap();
        }
        assert!(
            std::fs::read_to_string(&file).unwrap_or_default() == wanted,
            "schema/config.json is of another time; write it anew with \
             MVSWITCH_BLESS=1 cargo test --lib the_shipped_schema"
        );
    }

    #[test]
    fn every_example_fits_the_schema_and_points_at_it() {
        let validator = validator();
        let files = std::fs::read_dir(root().join("config")).unwrap();
        let files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 4);
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            let errors: Vec<String> =
                validator.iter_errors(&json(&text)).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{}: {}", file.display(), errors.join("; "));
            assert!(text.starts_with("#:schema ../schema/config.json\n"), "{}", file.display());
        }
    }

    #[test]
    fn what_editors_can_see_is_refused() {
        let validator = validator();
        let lan0 = "[[lower]]\nname = \"lan0\"\ndevice = \"demo\"\n";
        let mv0 = "[[macvlan]]\nname = \"mv0\"\nlink = \"lan0\"\n";
        assert!(validator.is_valid(&json(&format!("{lan0}{mv0}"))));
        for (what, text) in [
            ("no lower", "[cores]\ncontrol = 0\n".to_owned()),
            ("unknown key", format!("{lan0}speed = 1\n")),
            ("unknown section", format!("[bonds]\n{lan0}")),
            ("small MTU", format!("{lan0}mtu = 67\n")),
            ("large MTU", format!("{lan0}mtu = 9217\n")),
            ("VLAN 0", "[[lower]]\nname = \"a\"\nlower = \"b\"\nvlan = 0\n".to_owned()),
            ("VLAN 4095", "[[lower]]\nname = \"a\"\nlower = \"b\"\nvlan = 4095\n".to_owned()),
            ("device and VLAN", format!("{lan0}lower = \"b\"\nvlan = 1\n")),
            ("neither", "[[lower]]\nname = \"a\"\n".to_owned()),
            ("mode", format!("{lan0}{mv0}mode = \"brigde\"\n")),
            ("role", format!("{lan0}{mv0}role = \"guest\"\n")),
            ("text for a number", format!("{lan0}mtu = \"1500\"\n")),
            ("link without lower", format!("{lan0}[[macvlan]]\nname = \"mv0\"\n")),
            ("bad name", format!("{lan0}{mv0}\n[switch]\nname = \"two ports\"\n")),
            ("memory", format!("[eal]\nmemory = \"2M\"\n{lan0}")),
            ("empty group", format!("[control]\ngroup = \"\"\n{lan0}")),
            ("metrics without listen", format!("[metrics]\n{lan0}")),
        ] {
            assert!(!validator.is_valid(&json(&text)), "{what}");
        }
    }

    #[test]
    fn nothing_is_null_and_every_key_is_described() {
        let schema = schema();
        assert!(!schema.to_string().contains("\"null\""));
        let definitions = schema["definitions"].as_object().unwrap();
        let mut keys = 0;
        for (name, definition) in definitions {
            for (key, value) in definition["properties"].as_object().unwrap() {
                assert!(value["description"].is_string(), "{name}.{key}");
                keys += 1;
            }
        }
        assert!(keys > 40, "{keys}");
    }

    #[test]
    fn types_the_reader_refuses_the_schema_refuses() {
        let validator = validator();
        let mut seen = 0;
        for case in cases::CASES {
            let (text, ..) = case.split();
            let Ok(value) = toml::from_str::<toml::Value>(&text) else { continue };
            if !case.needle.starts_with("wrong type") && !case.needle.starts_with("unknown key") {
                continue;
            }
            seen += 1;
            let value = serde_json::to_value(value).unwrap();
            assert!(!validator.is_valid(&value), "{}", case.what);
        }
        assert!(seen >= 5, "{seen}");
    }
}
