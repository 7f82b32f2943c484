//! Bodies of requests, for the OpenAPI document. They are read member by member, in more spellings than these.

use serde_json::Value;

/// `urn:ietf:params:scim:schemas:core:2.0:User`
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "described, not read")]
pub(super) enum UserSchema {
    /// Users.
    #[schema(rename = "urn:ietf:params:scim:schemas:core:2.0:User")]
    User,
}

/// `urn:ietf:params:scim:api:messages:2.0:PatchOp`
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "described, not read")]
pub(super) enum PatchSchema {
    /// Changes.
    #[schema(rename = "urn:ietf:params:scim:api:messages:2.0:PatchOp")]
    PatchOp,
}

/// A user (RFC 7643 section 4.1). Other attributes are taken and forgotten.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "described, not read")]
pub(super) struct ScimUser {
    /// The schema of users; others may be there as well.
    #[schema(min_items = 1)]
    schemas: Vec<UserSchema>,
    /// The user's name, unique within the issuer.
    #[schema(rename = "userName", min_length = 1, max_length = 100, pattern = "^[ -~]+$")]
    user_name: String,
    /// The provider's own id; needed where `scim_user` says that tokens have it.
    #[schema(rename = "externalId", min_length = 1, max_length = 100, pattern = "^[ -~]+$")]
    external_id: String,
    /// Addresses; one at most is `primary`.
    #[schema(max_items = 20)]
    emails: Option<Vec<ScimEmail>>,
    /// False revokes the user until it is true again.
    active: Option<bool>,
}

/// An e-mail address of a user.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "described, not read")]
pub(super) struct ScimEmail {
    /// The address.
    #[schema(min_length = 1, max_length = 100, pattern = "^[!-~]+$")]
    value: String,
    /// Such as `work`.
    #[schema(rename = "type", max_length = 20, pattern = "^[ -~]*$")]
    kind: Option<String>,
    /// Whether it is the one that counts.
    primary: Option<bool>,
}

/// Changes of a user (RFC 7644 section 3.5.2).
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "described, not read")]
pub(super) struct ScimPatch {
    /// The schema of changes.
    #[schema(min_items = 1)]
    schemas: Vec<PatchSchema>,
    /// They are made in their order, all or none.
    #[schema(rename = "Operations", min_items = 1, max_items = 100)]
    operations: Vec<ScimOperation>,
}

/// One change.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "described, not read")]
pub(super) struct ScimOperation {
    /// What is done.
    op: ScimOp,
    /// Where, such as `active` or `emails[type eq "work"].value`; without it, `value` is an object of attributes.
    #[schema(example = "active")]
    path: Option<String>,
    /// With what.
    value: Option<Value>,
}

/// What a change does, in any case.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "described, not read")]
pub(super) enum ScimOp {
    /// A value is set, or another e-mail address added.
    Add,
    /// A value is set.
    Replace,
    /// A value is taken away.
    Remove,
}
