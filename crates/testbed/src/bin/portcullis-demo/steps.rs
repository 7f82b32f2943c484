//! What happens, in order. Each step checks what it shows; the first that does not hold ends the
//! demonstration.

mod outage;
mod session;
mod undo;
mod user;

use std::pin::Pin;

use anyhow::Result;

use crate::narrator::Narrator;
use crate::stage::Stage;

/// One step.
pub(crate) struct Step {
    pub(crate) title: &'static str,
    /// Why it matters, a few lines.
    pub(crate) why: &'static [&'static str],
    pub(crate) run: Run,
}

type Outcome<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;
type Run = for<'a> fn(&'a mut Stage, &'a Narrator) -> Outcome<'a>;

pub(crate) const STEPS: &[Step] = &[
    Step {
        title: "A token works",
        why: &["Alice is logged in on her laptop and on her phone. Envoy checks her tokens by itself."],
        run: |stage, narrator| Box::pin(session::works(stage, narrator)),
    },
    Step {
        title: "Her laptop's session is revoked",
        why: &["The laptop is stolen. Its token would be valid for another hour."],
        run: |stage, narrator| Box::pin(session::is_revoked(stage, narrator)),
    },
    Step {
        title: "What the laptop had open is cut",
        why: &["A WebSocket, server-sent events and a gRPC stream, all opened while the token was good."],
        run: |stage, narrator| Box::pin(session::streams_end(stage, narrator)),
    },
    Step {
        title: "Her phone does not notice",
        why: &["Another session of the same user."],
        run: |stage, narrator| Box::pin(session::other_goes_on(stage, narrator)),
    },
    Step {
        title: "Alice is revoked everywhere, and logs in again",
        why: &["Everything issued until now is rejected; what is issued from now on is accepted."],
        run: |stage, narrator| Box::pin(user::is_revoked(stage, narrator)),
    },
    Step {
        title: "A mistake is undone",
        why: &["The wrong Bob: his old token must work again."],
        run: |stage, narrator| Box::pin(undo::mistake(stage, narrator)),
    },
    Step {
        title: "The control plane is killed",
        why: &["Edges hold the whole set: they go on enforcing it, alone."],
        run: |stage, narrator| Box::pin(outage::control_plane_is_killed(stage, narrator)),
    },
    Step {
        title: "Envoy restarts, and lets nothing through before it has the set",
        why: &[
            "Its memory is empty and the control plane still down: requests wait, also those of good tokens.",
        ],
        run: |stage, narrator| Box::pin(outage::envoy_restarts(stage, narrator)),
    },
];
