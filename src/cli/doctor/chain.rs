//! The filter among the others: on every chain, behind jwt_authn, and looking where jwt_authn looks.

use portcullis_core::policy::{Policy, Streams, TokenSource};
use serde_json::Value;

use super::dump::{Chain, Dump, HttpFilter, list, text};
use super::finding::{Code, Finding, Observed};
use super::plugin::Plugin;

const JWT_AUTHN: &str = "JwtAuthentication";
/// Places that are named before the rest is counted.
const PLACES: usize = 3;
/// The connection managers of Istio's own ports for health and metrics.
const OF_THE_MESH: [&str; 2] = ["agent", "stats"];

pub(super) fn findings(dump: &Dump<'_>, subject: &str) -> Vec<Finding> {
    let ours = |chain: &Chain<'_>| chain.filters.iter().any(|filter| Plugin::of(filter).is_some());
    if !dump.chains.iter().any(ours) {
        let seen = format!("none of its {} chains of HTTP filters has the filter", dump.chains.len());
        return vec![Finding::new(Code::FilterAbsent, subject, seen)];
    }
    let mut found: Vec<(Code, String, Vec<&str>)> = Vec::new();
    for chain in &dump.chains {
        for (code, seen) in one_chain(dump, chain) {
            match found.iter_mut().find(|(known, text, _)| *known == code && *text == seen) {
                Some((_, _, places)) => places.push(&chain.place),
                None => found.push((code, seen, vec![&chain.place])),
            }
        }
    }
    let found = found.into_iter().map(|(code, seen, places)| {
        let rest = places.len().saturating_sub(PLACES);
        let mut named = places.into_iter().take(PLACES).collect::<Vec<_>>().join("; ");
        if rest > 0 {
            named += &format!("; and {rest} more");
        }
        Finding::new(code, format!("{subject}, {named}"), seen)
    });
    found.collect()
}

fn one_chain(dump: &Dump<'_>, chain: &Chain<'_>) -> Vec<Observed> {
    let at = chain.filters.iter().position(|filter| Plugin::of(filter).is_some());
    let Some((at, filter)) = at.and_then(|at| Some((at, chain.filters.get(at)?))) else {
        let of_the_mesh = OF_THE_MESH.contains(&text(chain.manager, "/stat_prefix"));
        let missing = (Code::FilterMissing, "requests pass by the filter".to_owned());
        return if of_the_mesh { Vec::new() } else { vec![missing] };
    };
    let mut found: Vec<Observed> = disabled(dump, filter).into_iter().collect();
    let (before, after) = chain.filters.split_at(at);
    let jwt_authn = |filter: &&HttpFilter<'_>| filter.kind == JWT_AUTHN;
    let late = after.iter().any(|filter| jwt_authn(&filter));
    if late {
        let seen = "the filter comes before jwt_authn: it judges tokens that nobody has verified";
        found.push((Code::FilterBeforeJwtAuthn, seen.to_owned()));
    }
    let Some(policy) = Plugin::of(filter).and_then(|plugin| plugin.policy().ok()) else { return found };
    if !late {
        let providers: Vec<Provider<'_>> = before.iter().filter(jwt_authn).flat_map(providers).collect();
        found.extend(tokens(&policy, &providers));
    }
    if policy.streams == Streams::Cut {
        found.extend(delayed_close(chain.manager));
    }
    found
}

fn disabled(dump: &Dump<'_>, filter: &HttpFilter<'_>) -> Option<Observed> {
    let routes = dump.routes_on(filter.name);
    let off = routes.iter().filter(|enabled| !**enabled).count();
    let seen = match (filter.disabled, routes.contains(&true), off) {
        (true, false, _) => "the filter is disabled, and no route enables it".to_owned(),
        (_, _, 1..) => format!("the filter is disabled on {off} of the routes that configure it"),
        _ => return None,
    };
    Some((Code::FilterDisabled, seen))
}

/// How long an HTTP/1.1 connection stays open after its stream was cut; a second if it is not said.
fn delayed_close(manager: &Value) -> Option<Observed> {
    let said = text(manager, "/delayed_close_timeout");
    let seconds = said.strip_suffix('s').and_then(|seconds| seconds.parse::<f64>().ok());
    match (said, seconds) {
        ("", _) => {
            Some((Code::DelayedCloseTimeout, "delayed_close_timeout is not set: it is a second".to_owned()))
        }
        (_, Some(seconds)) if seconds >= 1.0 => {
            Some((Code::DelayedCloseTimeout, format!("delayed_close_timeout is {said}")))
        }
        _ => None,
    }
}

/// A provider of jwt_authn: where it takes tokens from, and what it leaves of them.
struct Provider<'a> {
    name: &'a str,
    forwards: bool,
    payload: &'a str,
    headers: Vec<&'a str>,
    queries: Vec<&'a str>,
    cookies: Vec<&'a str>,
}

fn providers<'a>(filter: &HttpFilter<'a>) -> Vec<Provider<'a>> {
    let all = filter.config.get("providers").and_then(Value::as_object).into_iter().flatten();
    let provider = |(name, provider): (&'a String, &'a Value)| {
        let texts =
            |pointer: &str| -> Vec<&'a str> { list(provider, pointer).filter_map(Value::as_str).collect() };
        let (mut queries, cookies) = (texts("/from_params"), texts("/from_cookies"));
        let mut headers: Vec<&str> =
            list(provider, "/from_headers").map(|header| text(header, "/name")).collect();
        // Extractor::create of Envoy's jwt_authn: both, where no place is named.
        if headers.is_empty() && queries.is_empty() && cookies.is_empty() {
            (headers, queries) = (vec!["authorization"], vec!["access_token"]);
        }
        Provider {
            name,
            forwards: provider.get("forward") == Some(&Value::Bool(true)),
            payload: text(provider, "/payload_in_metadata"),
            headers,
            queries,
            cookies,
        }
    };
    all.map(provider).collect()
}

/// Whether the filter sees every token that jwt_authn accepts.
fn tokens(policy: &Policy, providers: &[Provider<'_>]) -> Vec<Observed> {
    let sources = &policy.tokens;
    let payloads = sources.iter().filter_map(|source| match source {
        TokenSource::JwtAuthn(key) => Some(key.as_str()),
        _ => None,
    });
    let payloads: Vec<&str> = payloads.collect();
    let nobody = payloads.iter().filter(|key| !providers.iter().any(|provider| provider.payload == **key));
    let mut found: Vec<Observed> = nobody
        .map(|key| {
            let seen =
                format!("`tokens` names the payload `{key}`, which no provider before the filter stores");
            (Code::JwtPayloadMissing, seen)
        })
        .collect();
    for provider in providers.iter().filter(|provider| !payloads.contains(&provider.payload)) {
        found.extend(one_provider(sources, provider));
    }
    found
}

fn one_provider(sources: &[TokenSource], provider: &Provider<'_>) -> Vec<Observed> {
    let header = |wanted: &str| {
        sources.iter().any(
            |source| matches!(source, TokenSource::Header { name, .. } if name.eq_ignore_ascii_case(wanted)),
        )
    };
    let query = |wanted: &str| {
        sources.iter().any(|source| matches!(source, TokenSource::Query(name) if name == wanted))
    };
    let cookie = |wanted: &str| {
        sources.iter().any(|source| matches!(source, TokenSource::Cookie(name) if name == wanted))
    };
    let places = provider.headers.iter().map(|name| ("header", *name, header(name)));
    let places = places.chain(provider.queries.iter().map(|name| ("query parameter", *name, query(name))));
    let places = places.chain(provider.cookies.iter().map(|name| ("cookie", *name, cookie(name))));
    let found = places.filter_map(|(what, name, checked)| match (checked, provider.forwards) {
        (false, _) => {
            let seen = format!(
                "provider {} accepts a token in the {what} `{name}`, where the filter does not look",
                provider.name
            );
            Some((Code::TokenUnchecked, seen))
        }
        // Envoy does not remove cookies (JwtCookieLocation::removeJwt).
        (true, false) if what != "cookie" => {
            let seen = format!(
                "provider {} removes the token from the {what} `{name}` before the filter sees it",
                provider.name
            );
            Some((Code::JwtRemovesToken, seen))
        }
        (true, _) => None,
    });
    found.collect()
}
