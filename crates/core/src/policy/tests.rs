use alloc::format;
use alloc::string::ToString;
use alloc::vec;

use super::*;

const CLUSTER: &str = r#""control_plane":{"cluster":"portcullis"}"#;

fn parse(rest: &str) -> Result<Policy, PolicyError> {
    let comma = if rest.is_empty() { "" } else { "," };
    Policy::parse(format!("{{{CLUSTER}{comma}{rest}}}").as_bytes())
}

#[track_caller]
fn refused(rest: &str, key: &str, reason: &str) {
    match parse(rest).expect_err(rest) {
        PolicyError::Key { key: seen, reason: why } => {
            assert_eq!(seen, key, "{why}");
            assert!(why.contains(reason), "{why}");
        }
        other => panic!("{other}"),
    }
}

#[test]
fn every_key_but_the_cluster_has_a_default() {
    let policy = parse("").unwrap();
    assert_eq!(policy.control_plane, ControlPlane { cluster: "portcullis".into(), token: None });
    assert_eq!(
        policy.tokens,
        [TokenSource::Header { name: "authorization".into(), scheme: Some("Bearer".into()) }]
    );
    assert_eq!(policy.startup, Startup { hold: 5_000, then: Choice::Deny });
    assert_eq!(policy.staleness, Staleness { after: 300_000, then: Choice::Allow });
    assert_eq!((policy.missing, policy.malformed), (Choice::Allow, Choice::Deny));
    assert_eq!((policy.mode, policy.streams), (Mode::Enforce, Streams::Cut));
    assert_eq!(policy.reject, Reject { status: 401, unavailable_status: 401, body: None, redirect: None });
    assert_eq!(policy.exempt, Vec::<String>::new());
    assert_eq!(policy.limits, Limits { revocations: 14_000_000 });
}

#[test]
fn a_limit_is_a_whole_number_within_what_fits() {
    assert_eq!(parse(r#""limits":{"revocations":1e6}"#).unwrap().limits.revocations, 1_000_000);
    assert_eq!(parse(r#""limits":{}"#).unwrap().limits.revocations, 14_000_000);
    for number in ["0", "-1", "1.5", "14000001", "1e300"] {
        let limits = format!(r#""limits":{{"revocations":{number}}}"#);
        refused(&limits, "limits.revocations", "must be a whole number from 1 to 14000000");
    }
    refused(r#""limits":{"revocations":"1"}"#, "limits.revocations", "must be a number, found a string");
    refused(r#""limits":{"memory":1}"#, "limits.memory", "is unknown");
}

#[test]
fn every_key_can_be_set() {
    let policy = parse(
        r#""tokens":[{"header":"X-Token"},{"header":"Authorization","scheme":"DPoP"},{"cookie":"at"},
            {"query":"access_token"},{"jwt_authn":"payload"}],
        "startup":{"hold":"250ms","then":"allow"},"staleness":{"after":"1h","then":"deny"},"missing":"deny",
        "malformed":"allow","mode":"mark","streams":"keep","exempt":["/health"],
        "reject":{"status":403,"unavailable_status":503,"body":"no","redirect":"https://login.example/"}"#,
    )
    .unwrap();
    let expect = vec![
        TokenSource::Header { name: "x-token".into(), scheme: None },
        TokenSource::Header { name: "authorization".into(), scheme: Some("DPoP".into()) },
        TokenSource::Cookie("at".into()),
        TokenSource::Query("access_token".into()),
        TokenSource::JwtAuthn("payload".into()),
    ];
    assert_eq!(policy.tokens, expect);
    assert_eq!(policy.startup, Startup { hold: 250, then: Choice::Allow });
    assert_eq!(policy.staleness, Staleness { after: 3_600_000, then: Choice::Deny });
    assert_eq!((policy.mode, policy.streams), (Mode::Mark, Streams::Keep));
    assert_eq!(policy.reject.unavailable_status, 503);
}

#[test]
fn errors_name_the_key_and_the_reason() {
    refused(r#""stratup":{}"#, "stratup", "is unknown; known here: control_plane, tokens, startup");
    refused(r#""startup":{"hold":5}"#, "startup.hold", "must be a string, found a number");
    refused(r#""startup":{"hold":"5"}"#, "startup.hold", "must be a duration such as");
    refused(r#""startup":{"hold":"5 s"}"#, "startup.hold", "must be a duration such as");
    refused(r#""startup":{"hold":"999999999999h"}"#, "startup.hold", "must be a duration such as");
    refused(r#""startup":{"than":"deny"}"#, "startup.than", "is unknown; known here: hold, then");
    refused(r#""startup":"5s""#, "startup", "must be an object, found a string");
    refused(r#""missing":"maybe""#, "missing", "must be one of allow, deny, found `maybe`");
    refused(r#""mode":true"#, "mode", "must be a string, found a boolean");
    refused(r#""tokens":[]"#, "tokens", "at least one place");
    refused(r#""tokens":{}"#, "tokens", "must be a list, found an object");
    refused(r#""tokens":[{"header":"a","cookie":"b"}]"#, "tokens[0]", "exactly one of");
    refused(r#""tokens":[{"cookie":"a","scheme":"b"}]"#, "tokens[0].scheme", "goes with `header` only");
    refused(r#""tokens":[{"header":"a b"}]"#, "tokens[0].header", "not a header name");
    refused(r#""tokens":[{"header":"cookie"}]"#, "tokens[0].header", "use {\"cookie\": NAME}");
    refused(r#""reject":{"status":200}"#, "reject.status", "from 400 to 599");
    refused(r#""reject":{"status":401.5}"#, "reject.status", "from 400 to 599");
    refused(r#""reject":{"redirect":"javascript:x"}"#, "reject.redirect", "http(s) URL");
    refused(r#""reject":{"redirect":"https://a\r\nset-cookie: x"}"#, "reject.redirect", "http(s) URL");
    refused(r#""reject":{"redirect":"/login"}"#, "reject.redirect", "must also be in `exempt`");
    assert!(parse(r#""reject":{"redirect":"/login?to=app"},"exempt":["/login"]"#).is_ok());
    refused(r#""staleness":{"after":"0s"}"#, "staleness.after", "longer than nothing");
    refused(r#""exempt":["health"]"#, "exempt[0]", "starts with `/`");
}

#[test]
fn the_cluster_is_required() {
    let error = |text: &str| Policy::parse(text.as_bytes()).unwrap_err().to_string();
    assert!(error("{}").starts_with("configuration key `control_plane`: is required"));
    assert!(error(r#"{"control_plane":{}}"#).starts_with("configuration key `control_plane.cluster`"));
    assert!(error("").starts_with("the plugin configuration is not valid JSON"));
    assert!(error(r#"{"mode":"mark","mode":"enforce"}"#).contains("`mode` stands twice"));
    assert!(error("[]").contains("must be an object, found a list"));
}

#[test]
fn a_token_is_not_shown_in_debug_output() {
    let policy = Policy::parse(br#"{"control_plane":{"cluster":"c","token":"secret-token"}}"#).unwrap();
    assert!(!format!("{policy:?}").contains("secret-token"));
}

#[test]
fn exemptions_end_at_a_segment_and_never_at_a_trick() {
    let policy = parse(r#""exempt":["/health","/public/"]"#).unwrap();
    let check =
        |target: &str, expect: bool| assert_eq!(policy.is_exempt(target.as_bytes()), expect, "{target}");
    check("/health", true);
    check("/health?x=/../y", true);
    check("/health/", true);
    check("/health/live", true);
    check("/healthz", false);
    check("/public/a/b", true);
    check("/public", false);
    check("/health/../admin", false);
    check("/health/..", false);
    check("/health/%2e%2e/admin", false);
    check("/health//admin", false);
    check("/health\\..\\admin", false);
    check("/health;/../admin", false);
    check("//health", false);
    check("/", false);
    check("", false);
}

/// The parts of `envoy.config.core.v3.GrpcService` that a target sets.
#[derive(Clone, PartialEq, prost::Message)]
struct GrpcService {
    #[prost(message, optional, tag = "1")]
    envoy_grpc: Option<EnvoyGrpc>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct EnvoyGrpc {
    #[prost(string, tag = "1")]
    cluster_name: String,
    #[prost(string, tag = "2")]
    authority: String,
    #[prost(message, optional, tag = "4")]
    max_receive_message_length: Option<UInt32Value>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct UInt32Value {
    #[prost(uint32, tag = "1")]
    value: u32,
}

#[test]
fn the_target_is_a_grpc_service_that_names_the_cluster() {
    for cluster in ["users", "envoy", "outbound|8471||p.p.svc.cluster.local", &"x".repeat(106)] {
        let target = ControlPlane { cluster: cluster.into(), token: None }.target().unwrap();
        let service = GrpcService::decode(target.as_bytes()).unwrap();
        let limit = Some(UInt32Value { value: 8_392_800 });
        let expect = EnvoyGrpc {
            cluster_name: cluster.into(),
            authority: "portcullis".into(),
            max_receive_message_length: limit,
        };
        assert_eq!(service.envoy_grpc, Some(expect));
    }
}

#[test]
fn a_long_cluster_name_stays_plain_unless_it_could_be_misunderstood() {
    let long = format!("portcullis.{}.svc.cluster.local", "x".repeat(120));
    let target = |cluster: &str| ControlPlane { cluster: cluster.into(), token: None }.target();
    assert_eq!(target(&long), Ok(long.clone()));
    let error = target(&format!("outbound|8471||{long}")).unwrap_err().to_string();
    assert!(error.contains("add a cluster with a shorter name"), "{error}");
    // `j` is the tag of a length-delimited field, `~` its length: 126 bytes follow.
    let trap = format!("j~{}", "x".repeat(126));
    assert!(matches!(target(&trap), Err(PolicyError::Key { key, .. }) if key == "control_plane.cluster"));
}

#[test]
fn an_exemption_that_can_never_match_is_refused() {
    for prefix in ["/a?b", "/a#b", "/a//b", "/a/../b", "/./a", "/a%20b", "/a;b", r"/a\\b"] {
        refused(&format!(r#""exempt":["/ok","{prefix}"]"#), "exempt[1]", "can never match");
    }
    for prefix in ["/", "/a", "/a/", "/a.b/c"] {
        assert!(
            parse(&format!(r#""exempt":["{prefix}"]"#)).unwrap().is_exempt(prefix.as_bytes()),
            "{prefix}"
        );
    }
}
