//! What runs on the threads' event loops once the event that posted it is over.

use std::cell::RefCell;

use crate::action;
use crate::callback;
use crate::thread::Thread;
use crate::trace::What;
use crate::vm;
use crate::world::World;

/// No more than this many in a row: VMs that keep notifying each other would go on for ever.
const MAX_IN_A_ROW: usize = 10_000;

/// Runs what was posted, in the order in which it was, and what that posts in turn.
///
/// Envoy's threads do so concurrently; one after the other is one of the ways in which that can go.
pub(crate) fn deliver(world: &RefCell<World>) {
    if std::mem::replace(&mut world.borrow_mut().is_delivering, true) {
        return;
    }
    for count in 0.. {
        if count == MAX_IN_A_ROW {
            let text = format!("{MAX_IN_A_ROW} notices in a row; the others wait for the next event");
            world.borrow_mut().trace.push(Thread::Main, 0, What::Note(text));
            break;
        }
        let Some(notice) = world.borrow_mut().queues.next_notice() else { break };
        let listener = notice.listener;
        // Nobody is told if the VM is dead or gone; what is in the queue stays there.
        let Some(vm) = world.borrow().vm(listener.thread, &listener.vm_key) else { continue };
        vm.with(|cx| {
            if cx.data().is_context(listener.context) {
                vm::call(cx, callback::QUEUE_READY, listener.context, &[listener.context, notice.token]);
                action::finish(cx);
            }
        });
    }
    let mut world = world.borrow_mut();
    world.is_delivering = false;
    world.drop_retired();
}
