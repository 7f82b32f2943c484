//! Output for people, and for programs. Colours are taken out again where nobody can see them.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use proxy_wasm_harness::Audit;
use serde::Serialize;

use crate::report::{Callout, Changes, Death, Log, Reply, Report, Request, Spent};

/// Longer bodies are cut.
const MAX_BODY: usize = 500;

const HEAD: Style = Style::new().bold();
const GOOD: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Green)));
const BAD: Style = Style::new().bold().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Red)));

/// For programs.
pub(crate) fn json(value: &impl Serialize) -> String {
    // Nothing that is shown has keys that are not text.
    serde_json::to_string_pretty(value).map(|text| text + "\n").unwrap_or_default()
}

/// An audit, for people.
pub(crate) fn audit(audit: &Audit, problems: &[String]) -> String {
    let mut text = plain(&audit.to_string());
    section(&mut text, "problems", problems, |problem| format!("{BAD}{}{BAD:#}", plain(problem)));
    text
}

/// A run, for people.
pub(crate) fn report(report: &Report) -> String {
    let mut text = String::new();
    for request in &report.requests {
        text.push_str(&self::request(request));
    }
    section(&mut text, "threads", &report.threads, |thread| {
        format!("{} {}, memory {} bytes", thread.vm, cost(&thread.cost), thread.memory)
    });
    section(&mut text, "call-outs", &report.callouts, callout);
    section(&mut text, "logs", &report.logs, log);
    section(&mut text, "metrics", &report.metrics, |(name, value)| format!("{} = {value}", plain(name)));
    section(&mut text, "trace", report.trace.iter().flatten(), |event| plain(event));
    let bad = |line: &String| format!("{BAD}{}{BAD:#}", plain(line));
    section(&mut text, "violations", &report.violations, bad);
    section(&mut text, "dead VMs", &report.failures, death);
    section(&mut text, "over budget", &report.over_budget, bad);
    text
}

fn section<T>(
    text: &mut String,
    title: &str,
    items: impl IntoIterator<Item = T>,
    show: impl Fn(T) -> String,
) {
    let items: Vec<String> = items.into_iter().map(show).collect();
    if !items.is_empty() {
        let lines: String = items.iter().map(|item| format!("  {}\n", item.replace('\n', "\n  "))).collect();
        // Writing to a text cannot fail.
        let _ = write!(text, "{HEAD}{title}{HEAD:#}\n{lines}");
    }
}

fn request(request: &Request) -> String {
    let Request { method, path, worker, .. } = request;
    let mut lines = vec![outcome(request)];
    lines.extend(request.reply.iter().flat_map(reply));
    lines.extend(request.forwarded.iter().flat_map(|changes| self::changes("request", changes)));
    lines.extend(request.response.iter().flat_map(|changes| self::changes("response", changes)));
    lines.push(format!("cost      {}", cost(&request.cost)));
    let lines: String = lines.iter().map(|line| format!("  {line}\n")).collect();
    format!("{HEAD}{} {} on worker_{worker}{HEAD:#}\n{lines}", plain(method), plain(path))
}

/// Data calls are the host calls that hand data to the filter.
fn cost(spent: &Spent) -> String {
    let Spent { fuel, host_calls, data_calls, .. } = spent;
    format!("fuel {fuel}, host calls {host_calls}, data calls {data_calls}")
}

fn outcome(request: &Request) -> String {
    let details = request.details.as_deref().filter(|details| !details.is_empty());
    let details = details.map(|details| format!(" ({})", plain(details)));
    let details = details.unwrap_or_default();
    match (request.outcome, &request.reply) {
        ("forwarded", _) if request.response_held => "forwarded; the filter holds the response".to_owned(),
        ("forwarded", _) => format!("{GOOD}forwarded{GOOD:#}; there is no response yet"),
        ("finished", _) => format!("{GOOD}forwarded{GOOD:#} and answered"),
        ("held", _) => "held by the filter".to_owned(),
        ("replied", Some(reply)) => format!("{BAD}replied{BAD:#} {}{details}", reply.status),
        (other, _) => format!("{BAD}{other}{BAD:#}{details}"),
    }
}

fn reply(reply: &Reply) -> Vec<String> {
    let grpc = reply.grpc_status.map(|status| format!("grpc      status {status}"));
    let headers =
        reply.headers.iter().map(|(name, value)| format!("header    {}: {}", plain(name), plain(value)));
    let body = (!reply.body.is_empty()).then(|| format!("body      {}", body(&reply.body)));
    grpc.into_iter().chain(headers).chain(body).collect()
}

fn changes(of: &str, changes: &Changes) -> Vec<String> {
    let line = |sign: &str, (name, value): &(String, String)| {
        format!("{of:<9} {sign} {}: {}", plain(name), plain(value))
    };
    let removed = changes.removed.iter().map(|header| line("-", header));
    let added = changes.added.iter().map(|header| line("+", header));
    let body = changes.body.as_deref().map(|text| format!("{of:<9} = body {}", body(text)));
    removed.chain(added).chain(body).collect()
}

fn body(text: &str) -> String {
    let shown: String = text.chars().take(MAX_BODY).collect();
    let line = plain(&shown).replace('\n', "\\n");
    match text.len() - shown.len() {
        0 => line,
        rest => format!("{line} … and {rest} bytes more"),
    }
}

fn callout(callout: &Callout) -> String {
    let kind = match callout.kind {
        "http" => "HTTP call",
        "grpc_call" => "gRPC call",
        _ => "gRPC stream",
    };
    let end = if callout.open { "open" } else { "over" };
    format!("{} {kind} to {}: {}, {end}", callout.vm, plain(&callout.cluster), plain(&callout.target))
}

fn log(log: &Log) -> String {
    format!("{} #{} {}: {}", log.vm, log.context, log.level, plain(&log.message))
}

fn death(death: &Death) -> String {
    let stack: String = death.backtrace.iter().map(|name| format!("\n  in {}", plain(name))).collect();
    format!("{BAD}{}: {} trapped: {}{BAD:#}{stack}", death.vm, death.callback, plain(&death.message))
}

/// What a filter says must not steer anybody's terminal.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for symbol in text.chars() {
        if symbol.is_control() && symbol != '\n' {
            plain.extend(symbol.escape_default());
        } else {
            plain.push(symbol);
        }
    }
    plain
}
