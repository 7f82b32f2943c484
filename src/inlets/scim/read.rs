//! What SCIM clients read: users, and what this service can do.

use std::str::FromStr;

use serde_json::{Value, json};

use super::endpoint::Endpoint;
use super::error::ErrorKind;
use super::filter::Filter;
use super::path::USER_SCHEMA;
use super::selection::Selection;
use super::{PREFIX, USERS, change, user};
use crate::inlets::{Cause, Inbound, Inlets};

const LIST_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
const SCHEMA_SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:Schema";
const TYPE_SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:ResourceType";
const CONFIG_SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig";
/// Most users of a page.
const MAX_RESULTS: usize = 200;

/// The answer to a GET.
pub(super) fn answer(inbound: &Inbound, inlets: &Inlets) -> Result<Value, Cause> {
    let (_, issuer) = change::sender(inbound, inlets)?;
    let selection = Selection::of(inbound)?;
    Ok(match Endpoint::of(inbound)? {
        Endpoint::Users => list(inbound, inlets, &issuer.issuer, &selection)?,
        Endpoint::User(id) => {
            selection.of_user(user::write(&*change::find(inlets, &issuer, &id)?, &location(inlets)))
        }
        // RFC 7644 section 4: nothing of this can be filtered.
        _ if parameter(inbound, "filter").is_some() => {
            return Err(Cause::rule("filter_forbidden", "this cannot be filtered"));
        }
        Endpoint::Config => config(),
        Endpoint::ResourceTypes => whole(&[resource_type()]),
        Endpoint::ResourceType(name) if name == "User" => resource_type(),
        Endpoint::Schemas => whole(&[schema()]),
        Endpoint::Schema(urn) if urn.eq_ignore_ascii_case(USER_SCHEMA) => schema(),
        Endpoint::ResourceType(_) | Endpoint::Schema(_) => {
            return Err(Cause::rule("not_found", "there is no resource with that id"));
        }
    })
}

/// Where users are, for others.
pub(super) fn location(inlets: &Inlets) -> String {
    inlets.public_url(USERS).unwrap_or_else(|| USERS.to_owned())
}

fn list(inbound: &Inbound, inlets: &Inlets, issuer: &str, selection: &Selection) -> Result<Value, Cause> {
    let filter = parameter(inbound, "filter").map(|text| Filter::parse(&text)).transpose()?;
    // Less than the first is the first, and less than none is none (RFC 7644 section 3.4.2.4).
    let start = number(inbound, "startIndex", 1)?.max(1);
    let count = number(inbound, "count", 100)?.max(0);
    let all = inlets.control().users(|users| users.of(issuer));
    let found: Vec<_> =
        all.iter().filter(|kept| filter.as_ref().is_none_or(|filter| filter.matches(&kept.user))).collect();
    let skip = usize::try_from(start - 1).unwrap_or(usize::MAX);
    let take = usize::try_from(count).unwrap_or(usize::MAX).min(MAX_RESULTS);
    let location = location(inlets);
    let shown = found.iter().skip(skip).take(take);
    let page: Vec<Value> = shown.map(|kept| selection.of_user(user::write(kept, &location))).collect();
    Ok(json!({
        "schemas": [LIST_SCHEMA],
        "totalResults": found.len(),
        "startIndex": start,
        "itemsPerPage": page.len(),
        "Resources": page,
    }))
}

fn whole(resources: &[Value]) -> Value {
    let count = resources.len();
    json!({
        "schemas": [LIST_SCHEMA],
        "totalResults": count,
        "startIndex": 1,
        "itemsPerPage": count,
        "Resources": resources,
    })
}

fn parameter(inbound: &Inbound, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(inbound.query.as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

fn number(inbound: &Inbound, name: &str, default: i64) -> Result<i64, Cause> {
    let wrong = |_| ErrorKind::InvalidValue.error(format!("`{name}` is not a whole number")).into();
    parameter(inbound, name).map_or(Ok(default), |text| i64::from_str(&text).map_err(wrong))
}

fn config() -> Value {
    let not = json!({"supported": false});
    json!({
        "schemas": [CONFIG_SCHEMA],
        "patch": {"supported": true},
        "bulk": {"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": true, "maxResults": MAX_RESULTS},
        "changePassword": not,
        "sort": not,
        "etag": not,
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "API key",
            "description": "An API key with the scope revoke, limited to one issuer",
        }],
        "meta": {"resourceType": "ServiceProviderConfig", "location": format!("{PREFIX}ServiceProviderConfig")},
    })
}

fn resource_type() -> Value {
    json!({
        "schemas": [TYPE_SCHEMA],
        "id": "User",
        "name": "User",
        "endpoint": "/Users",
        "schema": USER_SCHEMA,
        "meta": {"resourceType": "ResourceType", "location": format!("{PREFIX}ResourceTypes/User")},
    })
}

/// The schema of users: what is kept, and no more.
fn schema() -> Value {
    let attribute = |name: &str, kind: &str, required: bool, exact: bool, uniqueness: &str| {
        json!({
            "name": name, "type": kind, "multiValued": false, "required": required, "caseExact": exact,
            "mutability": "readWrite", "returned": "default", "uniqueness": uniqueness,
        })
    };
    let emails = json!({
        "name": "emails", "type": "complex", "multiValued": true, "required": false,
        "mutability": "readWrite", "returned": "default", "uniqueness": "none",
        "subAttributes": [
            attribute("value", "string", true, false, "none"),
            attribute("type", "string", false, false, "none"),
            attribute("primary", "boolean", false, false, "none"),
        ],
    });
    json!({
        "schemas": [SCHEMA_SCHEMA],
        "id": USER_SCHEMA,
        "name": "User",
        "description": "What is kept of a user; other attributes are taken and forgotten",
        "attributes": [
            attribute("userName", "string", true, false, "server"),
            attribute("externalId", "string", false, true, "none"),
            emails,
            attribute("active", "boolean", false, false, "none"),
        ],
        "meta": {"resourceType": "Schema", "location": format!("{PREFIX}Schemas/{USER_SCHEMA}")},
    })
}
