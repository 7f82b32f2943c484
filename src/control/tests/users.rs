//! Users that identity providers have told of.

use super::*;
use crate::state::User;

impl Plane {
    async fn tell(&self, effect: Effect) {
        let message = Message {
            inlet: "scim",
            issuer: IDP.into(),
            id: None,
            peer: "192.0.2.1".into(),
            signal: "user".into(),
            effects: vec![effect],
        };
        self.control.receive(message, &Caller::issuer("scim", IDP)).await.unwrap();
    }
}

fn user(id: &str, name: &str) -> User {
    User { issuer: IDP.into(), id: id.into(), user_name: name.into(), active: true, ..User::default() }
}

#[tokio::test]
async fn compaction_keeps_users_as_they_are_and_forgets_how_they_were() {
    let plane = Plane::new().await;
    plane.tell(Effect::KeepUser(user("1", "alice"))).await;
    plane.tell(Effect::KeepUser(user("1", "carol"))).await;
    plane.tell(Effect::KeepUser(user("2", "bob"))).await;
    plane.tell(Effect::DropUser { issuer: IDP.into(), id: "2".into() }).await;
    assert_eq!(plane.control.compact().await, Ok(0));
    plane.advance(91 * 86_400);
    // Four messages, a user as it was, a user that is gone, and that it is gone.
    assert_eq!(plane.control.compact_in_steps(1).await, Ok(7));
    let plane = plane.reopen().await;
    let kept = plane.control.users(|users| users.of(IDP));
    assert_eq!(kept.iter().map(|kept| kept.user.clone()).collect::<Vec<_>>(), [user("1", "carol")]);
    assert!(plane.control.users(|users| users.named(IDP, "alice")).is_none());
}
