//! Every operation of the description, each with a request that it would understand. Operations that are added later are in
//! it, too.

use bytes::Bytes;
use hyper::Method;
use serde_json::{Map, Value, json};

use super::{Answer, Service};
use crate::support::unique;

/// One operation of the description, and a request that it would understand.
pub struct Operation {
    pub method: Method,
    /// With names in braces.
    pub path: String,
    pub body: Option<Value>,
}

impl Operation {
    pub fn all() -> Vec<Self> {
        let description = serde_json::to_value(api::openapi()).expect("JSON");
        let mut all = Vec::new();
        for (path, item) in description["paths"].as_object().expect("paths") {
            for (method, operation) in item.as_object().expect("operations") {
                let schema = operation.pointer("/requestBody/content/application~1json/schema");
                all.push(Self {
                    method: method.to_uppercase().parse().expect("a method"),
                    path: path.clone(),
                    body: schema.map(|schema| example(&description, schema)),
                });
            }
        }
        assert!(all.len() > 20, "{} operations", all.len());
        all
    }

    pub fn named(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// With something that is there for each name.
    pub fn path_with(&self, value: impl Fn(&str) -> String) -> String {
        let mut path = self.path.clone();
        while let Some((before, rest)) = path.split_once('{') {
            let (name, after) = rest.split_once('}').expect("closed");
            path = format!("{before}{}{after}", value(name));
        }
        path
    }

    pub async fn ask(&self, api: &Service, token: Option<&str>, path: &str, body: Option<&Value>) -> Answer {
        let request = api
            .request(self.method.clone(), path, token)
            .header("Idempotency-Key", unique());
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        api.send(request, body).await
    }
}

/// The least that a schema takes.
fn example(description: &Value, schema: &Value) -> Value {
    if let Some(place) = schema["$ref"].as_str() {
        let place = place.strip_prefix('#').expect("within the document");
        return example(description, description.pointer(place).expect("there"));
    }
    for given in ["example", "const"] {
        if let Some(value) = schema.get(given) {
            return value.clone();
        }
    }
    if let Some(first) = ["enum", "oneOf", "anyOf"]
        .iter()
        .find_map(|of| Some((*of, schema.get(of)?.get(0)?)))
    {
        return match first {
            ("enum", value) => value.clone(),
            (_, schema) => example(description, schema),
        };
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
    match kind {
        Some("object") => {
            let required = schema["required"].as_array().into_iter().flatten();
            let members: Map<String, Value> = required
                .filter_map(Value::as_str)
                .map(|name| (name.to_owned(), example(description, &schema["properties"][name])))
                .collect();
            Value::Object(members)
        }
        Some("array") => json!([example(description, &schema["items"])]),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(1)),
        Some("boolean") => json!(true),
        _ => json!("a word"),
    }
}
