//! The commands: each is one host call.

use crate::PROBE;
use crate::host::*;

pub fn run(command: &str, arguments: &[String]) -> Answer {
    let text = |index: usize| arguments.get(index).map(String::as_str).unwrap_or_default();
    let (p, n) = (|index: usize| text(index).as_ptr(), |index: usize| text(index).len());
    let num = |index: usize| text(index).parse::<u32>().unwrap_or_default();
    let map = || match text(0) {
        "request" => 0,
        "request_trailers" => 1,
        "response" => 2,
        "response_trailers" => 3,
        "grpc_initial" => 4,
        "grpc_trailing" => 5,
        "call" => 6,
        "call_trailers" => 7,
        _ => 8,
    };
    let buffer = || match text(0) {
        "request" => 0,
        "response" => 1,
        "downstream" => 2,
        "upstream" => 3,
        "call" => 4,
        "grpc" => 5,
        "vm_config" => 6,
        "config" => 7,
        "call_data" => 8,
        _ => 9,
    };
    // Metrics go by name here; the host's answer to the definition is not shown.
    let metric = |kind: u32| {
        let mut id = 0;
        unsafe { proxy_define_metric(kind, p(0), n(0), &raw mut id) };
        id
    };
    let path = text(0).replace('.', "\0");
    unsafe {
        match command {
            "panic" => panic!("{}", text(0)),
            // As a panic, without its words.
            #[cfg(target_arch = "wasm32")]
            "trap" => core::arch::wasm32::unreachable(),
            "loop" => loop {
                std::hint::black_box(());
            },
            // For `$arguments`: the line that says what was done says it all.
            "note" => Answer::done(0),
            "log" => Answer::done(proxy_log(num(0), p(1), n(1))),
            "print" => {
                println!("{}", text(0));
                Answer::done(0)
            }
            "log_level" => number(|at| proxy_get_log_level(at)),
            "time" => number(|at| proxy_get_current_time_nanoseconds(at)),
            "tick_period" => Answer::done(proxy_set_tick_period_milliseconds(num(0))),
            "effective" => Answer::done(proxy_set_effective_context(num(0))),
            "done" => Answer::done(proxy_done()),
            "status" => bytes(|data, size| proxy_get_status(&mut 0, data, size)),
            "get_property" => bytes(|data, size| proxy_get_property(path.as_ptr(), path.len(), data, size)),
            "set_property" => Answer::done(proxy_set_property(p(0), n(0), p(1), n(1))),
            "get" => bytes(|data, size| proxy_get_header_map_value(map(), p(1), n(1), data, size)),
            "add" => Answer::done(proxy_add_header_map_value(map(), p(1), n(1), p(2), n(2))),
            "replace" => Answer::done(proxy_replace_header_map_value(map(), p(1), n(1), p(2), n(2))),
            "remove" => Answer::done(proxy_remove_header_map_value(map(), p(1), n(1))),
            "pairs" => bytes(|data, size| proxy_get_header_map_pairs(map(), data, size)),
            "set_pairs" => {
                let pairs = pairs(&arguments[1..]);
                Answer::done(proxy_set_header_map_pairs(map(), pairs.as_ptr(), pairs.len()))
            }
            "map_size" => number(|at| proxy_get_header_map_size(map(), at)),
            "body" => bytes(|data, size| proxy_get_buffer_bytes(buffer(), num(1), num(2), data, size)),
            "body_status" => number(|at| proxy_get_buffer_status(buffer(), at, &mut 0)),
            "set_body" => Answer::done(proxy_set_buffer_bytes(buffer(), num(1), num(2), p(3), n(3))),
            "continue" => Answer::done(proxy_continue_stream(num(0))),
            "close" => Answer::done(proxy_close_stream(num(0))),
            "reply" => reply(num(0), text(1), text(2), arguments.get(3..).unwrap_or_default(), -1),
            "reply_grpc" => {
                let status = text(3).parse().unwrap_or_default();
                reply(num(0), text(1), text(2), arguments.get(4..).unwrap_or_default(), status)
            }
            "get_shared" => bytes(|data, size| proxy_get_shared_data(p(0), n(0), data, size, &mut 0)),
            "get_cas" => {
                number(|at| proxy_get_shared_data(p(0), n(0), &mut std::ptr::null_mut(), &mut 0, at))
            }
            "set_shared" => Answer::done(proxy_set_shared_data(p(0), n(0), p(1), n(1), num(2))),
            "register" => token(|at| proxy_register_shared_queue(p(0), n(0), at)),
            "resolve" => token(|at| proxy_resolve_shared_queue(p(0), n(0), p(1), n(1), at)),
            "enqueue" => Answer::done(proxy_enqueue_shared_queue(num(0), p(1), n(1))),
            "dequeue" => bytes(|data, size| proxy_dequeue_shared_queue(num(0), data, size)),
            "counter" => Answer::done(proxy_increment_metric(metric(0), num(1).cast_signed().into())),
            "gauge" => Answer::done(proxy_record_metric(metric(1), num(1).into())),
            "gauge_by" => {
                Answer::done(proxy_increment_metric(metric(1), text(1).parse().unwrap_or_default()))
            }
            "histogram" => Answer::done(proxy_record_metric(metric(2), num(1).into())),
            "define" => number(|at| proxy_define_metric(num(0), p(1), n(1), at)),
            "increment_id" => Answer::done(proxy_increment_metric(num(0), num(1).into())),
            "record_id" => Answer::done(proxy_record_metric(num(0), num(1).into())),
            "record_counter" => Answer::done(proxy_record_metric(metric(0), num(1).into())),
            "increment_histogram" => Answer::done(proxy_increment_metric(metric(2), num(1).into())),
            "get_counter" => number(|at| proxy_get_metric(metric(0), at)),
            "get_gauge" => number(|at| proxy_get_metric(metric(1), at)),
            "get_histogram" => number(|at| proxy_get_metric(metric(2), at)),
            "get_metric_id" => number(|at| proxy_get_metric(num(0), at)),
            "http_call" => http_call(text(0), num(1), text(2), arguments.get(3..).unwrap_or_default()),
            "unary" => unary(text(0).as_bytes(), num(1), text(2)),
            "unary_service" => unary(&service(text(0), 0), num(1), text(2)),
            "open" => open(text(0).as_bytes()),
            "open_service" => open(&service(text(0), num(1) as u8)),
            "send" => Answer::done(proxy_grpc_send(num(0), p(1), n(1), num(2))),
            "half_close" => Answer::done(proxy_grpc_close(num(0))),
            "cancel" => Answer::done(proxy_grpc_cancel(num(0))),
            "foreign" => bytes(|data, size| proxy_call_foreign_function(p(0), n(0), p(1), n(1), data, size)),
            "foreign_hex" => {
                let input = hex(text(1));
                let (at, length) = (input.as_ptr(), input.len());
                bytes(|data, size| proxy_call_foreign_function(p(0), n(0), at, length, data, size))
            }
            // What the VM keeps in a static.
            "count" => PROBE.with_borrow_mut(|probe| {
                probe.count += 1;
                Answer { status: 0, data: Some(Data::Number(probe.count.into())) }
            }),
            "die_once_set" => {
                let found = bytes(|data, size| proxy_get_shared_data(p(0), n(0), data, size, &mut 0));
                assert!(found.status != 0, "{} is set", text(0));
                found
            }
            "env" => {
                let value = std::env::var(text(0)).unwrap_or_default();
                Answer { status: 0, data: Some(Data::Bytes(value.into_bytes())) }
            }
            "hoard" => {
                let hoard: Vec<u8> = vec![1; text(0).parse().unwrap_or_default()];
                std::mem::forget(std::hint::black_box(hoard));
                Answer::done(0)
            }
            other => panic!("there is no command {other}"),
        }
    }
}

fn reply(status: u32, details: &str, body: &str, headers: &[String], grpc_status: i32) -> Answer {
    let pairs = pairs(headers);
    Answer::done(unsafe {
        proxy_send_local_response(
            status,
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            pairs.as_ptr(),
            pairs.len(),
            grpc_status,
        )
    })
}

/// The words are headers, and behind `--` trailers; without any, it is a `GET` of `/`.
fn http_call(cluster: &str, timeout: u32, body: &str, words: &[String]) -> Answer {
    let mut parts = words.split(|word| word == "--");
    let get = [":method=GET", ":path=/", ":authority=peer"].map(str::to_owned);
    let headers = parts.next().filter(|words| !words.is_empty()).unwrap_or(&get);
    let (headers, trailers) = (pairs(headers), pairs(parts.next().unwrap_or_default()));
    token(|at| unsafe {
        proxy_http_call(
            cluster.as_ptr(),
            cluster.len(),
            headers.as_ptr(),
            headers.len(),
            body.as_ptr(),
            body.len(),
            trailers.as_ptr(),
            trailers.len(),
            timeout,
            at,
        )
    })
}

fn unary(target: &[u8], timeout: u32, message: &str) -> Answer {
    let (service, method, pairs) = ("probe.Service", "Method", pairs(&["X-Key=value".to_owned()]));
    token(|at| unsafe {
        proxy_grpc_call(
            target.as_ptr(),
            target.len(),
            service.as_ptr(),
            service.len(),
            method.as_ptr(),
            method.len(),
            pairs.as_ptr(),
            pairs.len(),
            message.as_ptr(),
            message.len(),
            timeout,
            at,
        )
    })
}

fn open(target: &[u8]) -> Answer {
    let (service, method, pairs) = ("probe.Service", "Method", pairs(&["X-Key=value".to_owned()]));
    token(|at| unsafe {
        proxy_grpc_stream(
            target.as_ptr(),
            target.len(),
            service.as_ptr(),
            service.len(),
            method.as_ptr(),
            method.len(),
            pairs.as_ptr(),
            pairs.len(),
            at,
        )
    })
}

/// Makes a call-out, whose token is `$token` from here on.
fn token(call: impl FnOnce(*mut u32) -> u32) -> Answer {
    let answer = number(call);
    if let (0, Some(Data::Number(token))) = (answer.status, &answer.data) {
        PROBE.with_borrow_mut(|probe| probe.token = *token as u32);
    }
    answer
}

/// Decodes hexadecimal digits, up to the first that is none.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().map_while(|digit| digit.to_digit(16)).collect();
    digits.chunks_exact(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

/// A `GrpcService` of this cluster, that takes messages up to a size; zero for all of them.
fn service(cluster: &str, max_message: u8) -> Vec<u8> {
    let mut inner = [&[0x0a, cluster.len() as u8], cluster.as_bytes()].concat();
    if max_message > 0 {
        inner.extend([0x22, 2, 0x08, max_message]);
    }
    [&[0x0a, inner.len() as u8], inner.as_slice()].concat()
}

/// Encodes `name=value` words.
fn pairs(words: &[String]) -> Vec<u8> {
    let pairs: Vec<(&str, &str)> = words.iter().filter_map(|word| word.split_once('=')).collect();
    let mut out = (pairs.len() as u32).to_le_bytes().to_vec();
    for (name, value) in &pairs {
        out.extend((name.len() as u32).to_le_bytes());
        out.extend((value.len() as u32).to_le_bytes());
    }
    for (name, value) in &pairs {
        out.extend(name.bytes().chain([0]).chain(value.bytes()).chain([0]));
    }
    out
}
