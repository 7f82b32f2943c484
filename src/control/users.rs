//! The users that identity providers have told of by SCIM.

use tokio::sync::MutexGuard;

use super::{Control, ControlError};
use crate::log::LogError;
use crate::state::Users;

impl Control {
    /// Looks at the users. `look` runs under the state's lock: it must be short.
    pub fn users<T>(&self, look: impl FnOnce(&Users) -> T) -> T {
        self.inner.store.read(|state| look(state.users()))
    }

    /// Held by whoever decides by the users as they are what becomes of them.
    pub async fn users_turn(&self) -> MutexGuard<'_, ()> {
        self.inner.changing_users.lock().await
    }

    /// An id for a new user.
    ///
    /// # Errors
    /// When the operating system has no random numbers.
    pub fn new_user_id(&self) -> Result<String, ControlError> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|error| LogError::Io(error.to_string()))?;
        Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
    }
}
