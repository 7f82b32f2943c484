//! Shared queues.

use proxy_wasm_harness::{Envoy, FailurePolicy, Thread};

use crate::probe::{said, script};

#[test]
fn a_queue_tells_its_listener_once_the_event_is_over() {
    let lines = "configure: register q
        request_headers: enqueue $token a
        request_headers: log 2 after
        queue_ready: dequeue $token
        queue_ready: dequeue $token
        queue_ready: resolve ~ q
        queue_ready: resolve other q
        queue_ready: resolve ~ nope
        queue_ready: dequeue 77
        queue_ready: enqueue 77 x";
    let envoy = script(lines).start().unwrap();
    envoy.worker(0).get("/").send();
    let says = [
        "configure: register q = 0 1",
        "request_headers: enqueue 1 a = 0",
        "after",
        "request_headers: log 2 after = 0",
        "queue_ready: dequeue 1 = 0 \"a\"",
        "queue_ready: dequeue 1 = 7",
        "queue_ready: resolve  q = 0 1",
        "queue_ready: resolve other q = 1",
        "queue_ready: resolve  nope = 1",
        "queue_ready: dequeue 77 = 1",
        "queue_ready: enqueue 77 x = 1",
    ];
    assert_eq!(said(&envoy), says);
    envoy.assert_clean();
}

#[test]
fn only_the_last_vm_to_register_is_told() {
    let lines = "configure: register q\nqueue_ready: log 2 told\nrequest_headers: register q";
    let envoy = script(lines).workers(2).start().unwrap();
    let told = |envoy: &Envoy| -> Vec<_> {
        envoy.logs().into_iter().filter(|log| log.message == "told").map(|log| log.vm).collect()
    };
    let queue = envoy.queue("q").unwrap();
    queue.push("a");
    assert_eq!(told(&envoy), [Thread::Worker(1)]);
    envoy.worker(0).get("/").send();
    queue.push("b");
    assert_eq!(told(&envoy), [Thread::Worker(1), Thread::Worker(0)]);
    assert_eq!(queue.items(), [b"a", b"b"]);
    assert_eq!(queue.pop().as_deref(), Some(b"a".as_slice()));
    assert!(envoy.queue("nope").is_none());
}

#[test]
fn what_is_in_a_queue_survives_the_vm_and_a_new_one_is_told_without_registering() {
    let lines = "request_headers: register q\nqueue_ready: log 2 told\nrequest_body: panic ouch";
    let envoy = script(lines).failure_policy(FailurePolicy::Reload).start().unwrap();
    let worker = envoy.worker(0);
    worker.post("/").body("b").send();
    let queue = envoy.queue("q").unwrap();
    let told = || said(&envoy).iter().filter(|line| *line == "told").count();
    queue.push("a");
    assert_eq!((told(), queue.items().len()), (0, 1), "nobody is told while the VM is dead");

    // On Envoy, the notice goes to whatever context has the number that the listener had.
    envoy.advance(std::time::Duration::from_secs(2));
    let _ = worker.connect();
    assert!(worker.failure().is_none());
    queue.push("b");
    assert_eq!((told(), queue.items().len()), (1, 2));
}

#[test]
fn a_queue_that_feeds_itself_does_not_hang_the_test() {
    let envoy = script("configure: register q\nqueue_ready: enqueue $token x").start().unwrap();
    envoy.queue("q").unwrap().push("a");
    assert!(envoy.queue("q").unwrap().items().len() > 1000);
    assert!(envoy.trace().iter().any(|event| event.to_string().contains("notices in a row")));
}

#[test]
fn queues_belong_to_a_vm_id_and_a_singleton_reaches_them() {
    let single = "configure: register q\nconfigure: count\nqueue_ready: dequeue $token";
    let envoy = script("request_headers: resolve ~ q\nrequest_headers: enqueue $token x").vm_id("v");
    let envoy = envoy.workers(2).start().unwrap();
    assert!(envoy.queue("q").is_none());
    let singleton = envoy.plugin().config().plugin_name("single").plugin_config(single).singleton();
    let singleton = envoy.add_plugin(singleton).unwrap();
    envoy.worker(1).get("/").send();
    let dequeued: Vec<_> =
        envoy.logs().into_iter().filter(|log| log.message.contains("dequeue")).map(|log| log.vm).collect();
    assert_eq!(dequeued, [Thread::Main]);
    assert_eq!(singleton.queue("q").unwrap().items().len(), 0);

    let other = envoy.add_plugin(envoy.plugin().config().vm_id("w")).unwrap();
    assert!(other.queue("q").is_none());
    other.worker(0).get("/").send();
    assert_eq!(said(&envoy).last().unwrap(), "request_headers: enqueue 0 x = 1");
}
