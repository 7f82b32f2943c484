//! The structure of custom resources: as much of OpenAPI as their schemas use for it.

use std::sync::LazyLock;

use serde_json::Value;

static SCHEMAS: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("schemas.json")).unwrap());

/// Fails unless a resource is valid.
#[track_caller]
pub(super) fn check(resource: &Value) {
    if let Err(error) = errors(resource) {
        panic!("{error} in {resource:#}");
    }
}

/// What is wrong with a resource first.
pub(super) fn errors(resource: &Value) -> Result<(), String> {
    let text = |name: &str| resource[name].as_str().unwrap_or_default();
    let name = format!("{}/{}", text("apiVersion"), text("kind"));
    let schema = SCHEMAS["schemas"].get(&name).ok_or_else(|| format!("there is no {name}"))?;
    validate(schema, &resource["spec"], "spec")
}

fn validate(schema: &Value, value: &Value, path: &str) -> Result<(), String> {
    let wrong = |what: String| Err(format!("{path}: {what}"));
    if let Some(choices) = schema["enum"].as_array()
        && !choices.contains(value)
    {
        return wrong(format!("{value} is none of {choices:?}"));
    }
    let fits = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        // Anything, such as JSON of a filter's own.
        _ => return Ok(()),
    };
    if !fits {
        return wrong(format!("{value} is not of the type {}", schema["type"]));
    }
    if let Some(most) = schema["maxItems"].as_u64()
        && value.as_array().is_some_and(|items| items.len() as u64 > most)
    {
        return wrong(format!("more than {most} items"));
    }
    for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if value.get(required).is_none() {
            return wrong(format!("{required} is missing"));
        }
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        validate(&schema["items"], item, &format!("{path}[{index}]"))?;
    }
    for (name, member) in value.as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        let open = schema["x-kubernetes-preserve-unknown-fields"] == true;
        match (schema["properties"].get(name), schema.get("additionalProperties")) {
            (Some(known), _) => validate(known, member, &path)?,
            (None, Some(any)) => validate(any, member, &path)?,
            (None, None) if open => {}
            (None, None) => return Err(format!("{path}: unknown")),
        }
    }
    Ok(())
}
