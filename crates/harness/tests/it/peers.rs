//! Peers that answer by themselves, in an order that is always the same.

use std::time::Duration;

use proxy_wasm_harness::{Answer, Callout, CalloutKind, Cluster, Envoy, HeaderMap, Rule, Thread};

use crate::probe::{rules, said, script};

const MS: Duration = Duration::from_millis(1);

/// A filter that does this on one tick, with a peer that answers by itself.
fn ticked(lines: &str, peer: Cluster) -> Envoy {
    let lines = format!("configure: tick_period 100\ntick: tick_period 0\n{lines}");
    let envoy = script(&lines).cluster("up", peer).start().unwrap();
    envoy.advance(Duration::from_millis(100));
    envoy
}

fn says(envoy: &Envoy) -> Vec<String> {
    said(envoy).split_off(2)
}

fn echo(asked: &Callout) -> Answer {
    let echo = format!("{} {} {}", asked.vm, asked.method, String::from_utf8_lossy(&asked.body));
    match asked.kind {
        CalloutKind::Http => Answer::nothing().respond(200, HeaderMap::new(), echo),
        CalloutKind::GrpcCall => Answer::nothing().message(echo).close(0, ""),
        CalloutKind::GrpcStream => Answer::nothing().message("welcome"),
        CalloutKind::GrpcMessage => Answer::nothing().after(MS * 5).message(echo),
    }
}

#[test]
fn a_closure_answers_everything() {
    let lines = "tick: http_call up 9 one\ntick: unary up 9 two\ntick: open up\ntick: send $token three 0
        http_call_response: body call 0 99\ngrpc_message: body grpc 0 99";
    let envoy = ticked(lines, Cluster::answering(echo));
    assert_eq!(says(&envoy).len(), 4, "answers take time");
    envoy.advance(MS);
    let expected = [
        "http_call_response: body call 0 99 = 0 \"worker_0  one\"",
        "grpc_message: body grpc 0 99 = 0 \"worker_0 Method two\"",
        "grpc_message: body grpc 0 99 = 0 \"welcome\"",
    ];
    assert_eq!(says(&envoy)[4..], expected);
    envoy.advance(MS * 4);
    assert_eq!(says(&envoy)[7..], ["grpc_message: body grpc 0 99 = 0 \"worker_0 Method three\""]);
    envoy.assert_clean();
}

#[test]
fn a_list_gives_one_answer_after_the_other_over_all_threads() {
    let lines = "tick: http_call up 0 ~\nhttp_call_response: body call 0 99";
    let answers = ["one", "two"].map(|body| Answer::nothing().respond(200, HeaderMap::new(), body));
    let envoy = ticked(lines, Cluster::scripted(answers));
    envoy.advance(MS);
    let answers = envoy.logs().into_iter().filter(|log| log.message.starts_with("http_call_response"));
    let answers: Vec<_> =
        answers.map(|log| (log.vm, log.message.split('"').nth(1).unwrap().to_owned())).collect();
    assert_eq!(answers, [(Thread::Main, "one".to_owned()), (Thread::Worker(0), "two".to_owned())]);

    let envoy = ticked(lines, Cluster::scripted([]));
    envoy.worker(0).http_calls()[0].respond(200, HeaderMap::new(), "three");
    assert!(says(&envoy)[1].ends_with("\"three\""));
}

#[test]
fn a_call_can_fail_while_it_is_made_although_there_is_a_cluster() {
    let lines = "tick: http_call up 9 ~\ntick: unary up 9 m\ntick: unary_service up 9 m\ntick: open up
        tick: open_service up\ngrpc_close: status";
    let envoy = ticked(lines, Cluster::answering(|_| Answer::no_cluster()));
    let answers: Vec<_> =
        says(&envoy).iter().map(|line| line.split_once(" = ").unwrap().1.to_owned()).collect();
    let missing = "0 \"Cluster not available\"";
    assert_eq!(answers, ["2", "4", "10", "4", "10", missing, missing]);
    envoy.assert_clean();

    let lines = "tick: open up\ngrpc_initial: log 2 $arguments\ngrpc_trailing: log 2 $arguments\ngrpc_close: log 2 $arguments";
    let envoy = ticked(lines, Cluster::answering(|_| Answer::no_host()));
    let called = says(&envoy).into_iter().filter(|line| !line.contains("log"));
    assert_eq!(called.collect::<Vec<_>>(), ["1,6,0", "1,6,4", "tick: open up = 10", "1,6,14"]);

    let once = [Answer::nothing(), Answer::nothing(), Answer::no_host(), Answer::no_host()];
    let envoy = ticked("tick: open up\ntick: open up", Cluster::scripted(once));
    assert_eq!(rules(&envoy), [Rule::CalloutAfterFailedCallout]);
}

#[test]
fn a_stream_is_fed_until_it_ends() {
    type Last = fn(Answer) -> Answer;
    let peer = |last: Last| {
        let answer = Answer::nothing().initial_metadata([("x", "1")]).message("").after(MS * 10);
        Cluster::answering(move |_| last(answer.clone()).message("too late"))
    };
    let lines = "tick: open up\ngrpc_initial: get grpc_initial x\ngrpc_message: body grpc 0 9
        grpc_close: log 2 $arguments\ngrpc_close: cancel $token";
    let ends: [(Last, &str); 6] = [
        (Answer::reset, "1,6,13"),
        (Answer::compressed, "1,6,13"),
        (Answer::break_off, "1,6,13"),
        (Answer::end_without_trailers, "1,6,2"),
        (|answer| answer.close(7, "no"), "1,6,7"),
        (|answer| answer.refuse(), "1,6,13"),
    ];
    for (last, status) in ends {
        let envoy = ticked(lines, peer(last));
        envoy.advance(MS * 9);
        let begun = ["grpc_initial: get grpc_initial x = 0 \"1\"", "grpc_message: body grpc 0 9 = 0 \"\""];
        assert_eq!(says(&envoy)[1..], begun);
        envoy.advance(MS);
        assert_eq!(says(&envoy)[3], status);
        assert_eq!(says(&envoy).len(), 6, "nothing comes after the end");
        envoy.assert_clean();
    }
}

#[test]
fn in_place_of_a_first_word() {
    let status = |answer: Answer| {
        let lines = "tick: open up\ngrpc_initial: log 2 $arguments\ngrpc_close: log 2 $arguments\ngrpc_close: cancel $token";
        let envoy = ticked(lines, Cluster::scripted([answer.clone(), answer]));
        envoy.advance(MS);
        let called: Vec<_> = says(&envoy).into_iter().filter(|line| line.starts_with("1,")).collect();
        called.join(" ")
    };
    assert_eq!(status(Answer::nothing().respond(503, HeaderMap::new(), "busy")), "1,6,0 1,6,14");
    assert_eq!(status(Answer::nothing().close(16, "")), "1,6,0 1,6,16");
    assert_eq!(status(Answer::nothing().refuse()), "1,6,0 1,6,14");
    assert_eq!(status(Answer::nothing().reset()), "1,6,0 1,6,14");
}

#[test]
fn a_late_answer_loses_to_the_timeout() {
    let lines = "tick: http_call up 10 ~\nhttp_call_response: get call :status";
    let late = |delay| {
        Cluster::answering(move |_| Answer::nothing().after(delay).respond(200, HeaderMap::new(), ""))
    };
    let status = |delay| {
        let envoy = ticked(lines, late(delay));
        envoy.advance(MS * 20);
        assert_eq!(says(&envoy).len(), 2);
        says(&envoy)[1].split('"').nth(1).unwrap().to_owned()
    };
    assert_eq!([status(MS * 9), status(MS * 10)], ["200", "504"]);
}

#[test]
fn answers_come_by_time_and_then_by_their_plans_and_before_ticks() {
    let lines = "configure: tick_period 100\ntick: http_call up 0 ~\nhttp_call_response: time";
    let answer = |_: &Callout| Answer::nothing().after(MS * 100).respond(200, HeaderMap::new(), "");
    let run = || {
        let envoy = script(lines).workers(3).cluster("up", Cluster::answering(answer)).start().unwrap();
        envoy.advance(MS * 200);
        let logs = envoy.logs().into_iter().filter(|log| !log.message.starts_with("configure"));
        logs.map(|log| (log.vm, log.message.split(' ').next().unwrap().to_owned())).collect::<Vec<_>>()
    };
    let threads = [Thread::Main, Thread::Worker(0), Thread::Worker(1), Thread::Worker(2)];
    let expected =
        ["tick:", "http_call_response:", "tick:"].map(|what| threads.map(|vm| (vm, what.to_owned())));
    assert_eq!(run(), expected.concat());
    assert_eq!(run(), run());
}

#[test]
fn a_peer_and_a_filter_that_always_answer_each_other_do_not_stop_the_clock() {
    let lines = "tick: http_call up 0 ~\nhttp_call_response: http_call up 0 ~";
    let envoy = ticked(lines, Cluster::answering(|_| Answer::nothing().respond(200, HeaderMap::new(), "")));
    envoy.advance(MS * 50);
    assert_eq!(envoy.worker(0).http_calls().len(), 51);
}
