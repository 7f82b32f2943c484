//! The users that identity providers have told of by SCIM.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use portcullis_core::Version;

use crate::clock::UnixMillis;
use crate::log::wire;

/// A user, as far as subjects are found by it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct User {
    /// The configured issuer that it belongs to.
    pub issuer: String,
    /// Random, the same for the user's life.
    pub id: String,
    /// `userName`; unique, whatever its case.
    pub user_name: String,
    /// The provider's own id; empty where it has said none.
    pub external_id: String,
    /// Its e-mail addresses.
    pub emails: Vec<Email>,
    /// Whether it may come in.
    pub active: bool,
}

/// An e-mail address.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Email {
    /// The address.
    pub value: String,
    /// Such as `work`; may be empty.
    pub kind: String,
    /// Whether it is the one to use.
    pub primary: bool,
}

/// A user with the event that says so.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Kept {
    /// The user.
    pub user: User,
    /// The version of the event.
    pub version: Version,
    /// When that was.
    pub at_ms: UnixMillis,
}

/// All users.
#[derive(Clone, Debug, Default)]
pub struct Users {
    by_id: BTreeMap<(String, String), Arc<Kept>>,
    /// Issuer and folded name, to the id.
    names: BTreeMap<(String, String), String>,
    /// Issuer, folded address, id.
    addresses: BTreeSet<(String, String, String)>,
}

impl Users {
    /// A user by its id.
    #[must_use]
    pub fn get(&self, issuer: &str, id: &str) -> Option<Arc<Kept>> {
        self.by_id.get(&(issuer.to_owned(), id.to_owned())).cloned()
    }

    /// The user of that name, whatever its case.
    #[must_use]
    pub fn named(&self, issuer: &str, name: &str) -> Option<Arc<Kept>> {
        let id = self.names.get(&(issuer.to_owned(), folded(name)))?;
        self.get(issuer, id)
    }

    /// The users with that e-mail address, whatever its case.
    #[must_use]
    pub fn with_address(&self, issuer: &str, address: &str) -> Vec<Arc<Kept>> {
        let (issuer, address) = (issuer.to_owned(), folded(address));
        let from = (issuer.clone(), address.clone(), String::new());
        let same = self.addresses.range(from..).take_while(|(of, one, _)| *of == issuer && *one == address);
        same.filter_map(|(_, _, id)| self.get(&issuer, id)).collect()
    }

    /// All users of an issuer, by id.
    #[must_use]
    pub fn of(&self, issuer: &str) -> Vec<Arc<Kept>> {
        let from = (issuer.to_owned(), String::new());
        self.by_id
            .range(from..)
            .take_while(|((of, _), _)| of == issuer)
            .map(|(_, kept)| kept.clone())
            .collect()
    }

    pub(super) fn keep(&mut self, user: User, version: Version, at_ms: UnixMillis) {
        self.drop(&user.issuer, &user.id);
        let issuer = &user.issuer;
        self.names.insert((issuer.clone(), folded(&user.user_name)), user.id.clone());
        let addresses =
            user.emails.iter().map(|email| (issuer.clone(), folded(&email.value), user.id.clone()));
        self.addresses.extend(addresses);
        let key = (issuer.clone(), user.id.clone());
        self.by_id.insert(key, Arc::new(Kept { user, version, at_ms }));
    }

    pub(super) fn drop(&mut self, issuer: &str, id: &str) {
        let Some(kept) = self.by_id.remove(&(issuer.to_owned(), id.to_owned())) else { return };
        let name = (issuer.to_owned(), folded(&kept.user.user_name));
        if self.names.get(&name).is_some_and(|holder| holder == id) {
            self.names.remove(&name);
        }
        for email in &kept.user.emails {
            self.addresses.remove(&(issuer.to_owned(), folded(&email.value), id.to_owned()));
        }
    }
}

fn folded(text: &str) -> String {
    text.to_lowercase()
}

impl From<&wire::UserKept> for User {
    fn from(kept: &wire::UserKept) -> Self {
        let wire::UserKept { issuer, id, user_name, external_id, active, emails } = kept.clone();
        let email =
            |email: wire::Email| Email { value: email.value, kind: email.r#type, primary: email.primary };
        Self { issuer, id, user_name, external_id, active, emails: emails.into_iter().map(email).collect() }
    }
}

impl From<User> for wire::UserKept {
    fn from(user: User) -> Self {
        let User { issuer, id, user_name, external_id, active, emails } = user;
        let email =
            |email: Email| wire::Email { value: email.value, r#type: email.kind, primary: email.primary };
        Self { issuer, id, user_name, external_id, active, emails: emails.into_iter().map(email).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name_and_address_until_they_change() {
        let email = |value: &str| Email { value: value.into(), ..Email::default() };
        let user = |id: &str, name: &str, address: &str| User {
            issuer: "i".into(),
            id: id.into(),
            user_name: name.into(),
            emails: vec![email(address)],
            ..User::default()
        };
        let mut users = Users::default();
        users.keep(user("1", "Alice", "A@x"), 1, 0);
        users.keep(user("2", "bob", "a@X"), 2, 0);
        let ids = |found: Vec<Arc<Kept>>| found.iter().map(|kept| kept.user.id.clone()).collect::<Vec<_>>();
        assert_eq!(users.named("i", "ALICE").unwrap().user.id, "1");
        assert!(users.named("j", "alice").is_none());
        assert_eq!(ids(users.with_address("i", "a@x")), ["1", "2"]);
        assert_eq!((ids(users.of("i")).len(), ids(users.of("h")).len()), (2, 0));
        users.keep(user("1", "carol", "c@x"), 3, 0);
        assert!(users.named("i", "alice").is_none());
        assert_eq!(ids(users.with_address("i", "a@x")), ["2"]);
        users.drop("i", "2");
        assert_eq!(ids(users.of("i")), ["1"]);
        assert_eq!((users.names.len(), users.addresses.len()), (1, 1));
    }
}
