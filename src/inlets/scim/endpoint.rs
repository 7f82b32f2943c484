//! What there is at SCIM's paths (RFC 7644 section 3.2).

use crate::inlets::{Cause, Inbound};

/// What a path leads to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Endpoint {
    /// The users.
    Users,
    /// The user of that id, if there is one.
    User(String),
    /// What this service can do.
    Config,
    /// The types of resources.
    ResourceTypes,
    /// The type of that name, if there is one.
    ResourceType(String),
    /// The schemas.
    Schemas,
    /// The schema of that URN, if there is one.
    Schema(String),
}

impl Endpoint {
    /// That of a request.
    ///
    /// # Errors
    /// When there is none at the path, or one of RFC 7644 that this service does not have.
    pub(super) fn of(inbound: &Inbound) -> Result<Self, Cause> {
        let Some(below) = inbound.path.strip_prefix(super::ROOT) else { return Err(nothing()) };
        let whole = below.strip_prefix('/').is_some_and(|rest| rest.split('/').all(|part| !part.is_empty()));
        if !whole && !matches!(below, "" | "/") {
            return Err(nothing());
        }
        let segments = inbound.segments_after(super::PREFIX)?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match segments.as_slice() {
            // A search by POST has no other place; with other methods it would be a user's id.
            ["Users", ".search"] if inbound.method == "POST" => Err(not_implemented()),
            [] | ["Me", ..] | ["Bulk" | ".search"] => Err(not_implemented()),
            ["Users"] => Ok(Self::Users),
            ["Users", id] => Ok(Self::User((*id).into())),
            ["ServiceProviderConfig"] => Ok(Self::Config),
            ["ResourceTypes"] => Ok(Self::ResourceTypes),
            ["ResourceTypes", name] => Ok(Self::ResourceType((*name).into())),
            ["Schemas"] => Ok(Self::Schemas),
            ["Schemas", urn] => Ok(Self::Schema((*urn).into())),
            _ => Err(nothing()),
        }
    }
}

fn nothing() -> Cause {
    Cause::rule("not_found", "there is nothing at this path: ResourceTypes lists what there is")
}

fn not_implemented() -> Cause {
    let why =
        "there is no /Me, /Bulk or /.search here, and no query of everything: see ServiceProviderConfig";
    Cause::rule("not_implemented", why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_one_endpoint() {
        let check = |method: &str, path: &str, expect: Result<Endpoint, &str>| {
            let inbound =
                Inbound { method: method.parse().unwrap(), path: path.into(), ..Inbound::default() };
            let found = Endpoint::of(&inbound);
            assert_eq!(found.as_ref().map_err(Cause::code), expect.as_ref().map_err(|code| *code), "{path}");
        };
        for (below, expect) in [
            ("", Err("not_implemented")),
            ("/", Err("not_implemented")),
            ("/Users", Ok(Endpoint::Users)),
            ("/Users/7", Ok(Endpoint::User("7".into()))),
            ("/Users/a%2Fb", Ok(Endpoint::User("a/b".into()))),
            ("/Users/.search", Ok(Endpoint::User(".search".into()))),
            ("/Users/7/emails", Err("not_found")),
            ("/Users/", Err("not_found")),
            ("//Users", Err("not_found")),
            ("/users", Err("not_found")),
            ("x/Users", Err("not_found")),
            ("/Groups", Err("not_found")),
            ("/Bulk", Err("not_implemented")),
            ("/Me", Err("not_implemented")),
            ("/Me/emails", Err("not_implemented")),
            ("/.search", Err("not_implemented")),
            ("/ServiceProviderConfig", Ok(Endpoint::Config)),
            ("/ResourceTypes/User", Ok(Endpoint::ResourceType("User".into()))),
            ("/Schemas", Ok(Endpoint::Schemas)),
            ("/%ff", Err("syntax")),
        ] {
            check("GET", &format!("/inlets/scim/v2{below}"), expect);
        }
        check("POST", "/inlets/scim/v2/Users/.search", Err("not_implemented"));
        check("POST", "/inlets/revoke", Err("not_found"));
    }
}
