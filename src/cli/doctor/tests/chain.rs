//! The filter's place among the others.

use super::*;

const LISTENER: &str = "/dump/configs/2/static_listeners/0/listener";
const MANAGER: &str = "/dump/configs/2/static_listeners/0/listener/filter_chains/0/filters/0/typed_config";
const PROVIDER: &str = "/dump/configs/2/static_listeners/0/listener/filter_chains/0/filters/0/typed_config/http_filters/0/typed_config/providers/idp";
const PLUGIN: &str = "/dump/configs/2/static_listeners/0/listener/filter_chains/0/filters/0/typed_config/http_filters/1/typed_config/config/configuration/value";

fn tokens(document: &mut Value, tokens: &Value) {
    let config = json!({"control_plane": {"cluster": "portcullis"}, "tokens": tokens});
    set(document, PLUGIN, config.to_string().into());
}

/// Another listener like the first.
fn another(document: &mut Value, name: &str, edit: impl FnOnce(&mut Value)) {
    let mut entry = json!({"listener": document.pointer(LISTENER).unwrap()});
    set(&mut entry, "/listener/name", name.into());
    edit(&mut entry["listener"]);
    set(document, "/dump/configs/2/static_listeners/-", entry);
}

const FILTERS: &str = "/filter_chains/0/filters/0/typed_config/http_filters";

#[test]
fn on_no_listener() {
    let found =
        found(|document| remove(document, &format!("{MANAGER}/http_filters/1")), &[Code::FilterAbsent]);
    assert_eq!(found[0].subject, "Envoy edge-1");
}

#[test]
fn missing_on_one_of_several() {
    let lacks = |listener: &mut Value| remove(listener, &format!("{FILTERS}/1"));
    let missing = found(|document| another(document, "admin", lacks), &[Code::FilterMissing]);
    assert_eq!(missing[0].subject, "Envoy edge-1, listener admin");
    found(
        |document| {
            another(document, "out", |listener| {
                lacks(listener);
                set(listener, "/traffic_direction", "OUTBOUND".into());
            });
        },
        &[],
    );
    found(
        |document| {
            another(document, "probes", |listener| {
                lacks(listener);
                set(listener, "/filter_chains/0/filters/0/typed_config/stat_prefix", "agent".into());
            });
        },
        &[],
    );
    let many = |document: &mut Value| {
        for name in ["a", "b", "c", "d", "e"] {
            another(document, name, lacks);
        }
    };
    let many = found(many, &[Code::FilterMissing]);
    assert_eq!(many[0].subject, "Envoy edge-1, listener a; listener b; listener c; and 2 more");
}

#[test]
fn missing_on_one_filter_chain_or_upgrade() {
    let second = |document: &mut Value| {
        let mut chain = document.pointer(LISTENER).unwrap()["filter_chains"][0].clone();
        remove(&mut chain, "/filters/0/typed_config/http_filters/1");
        set(document, &format!("{LISTENER}/filter_chains/-"), chain.clone());
        set(document, &format!("{LISTENER}/default_filter_chain"), chain);
    };
    let missing = found(second, &[Code::FilterMissing]);
    assert_eq!(
        missing[0].subject,
        "Envoy edge-1, listener ingress, filter chain 2; listener ingress, filter chain 3"
    );
    let upgrade = |document: &mut Value| {
        let router = document.pointer(MANAGER).unwrap()["http_filters"][2].clone();
        set(document, &format!("{MANAGER}/upgrade_configs/0/filters"), json!([router]));
    };
    let missing = found(upgrade, &[Code::FilterMissing]);
    assert_eq!(missing[0].subject, "Envoy edge-1, listener ingress, upgrade websocket");
}

#[test]
fn delivered_by_ecds() {
    let discovered = |document: &mut Value| {
        let filter = format!("{MANAGER}/http_filters/1");
        let typed = document.pointer_mut(&filter).unwrap()["typed_config"].take();
        set(
            document,
            &filter,
            json!({"name": "portcullis", "config_discovery": {"config_source": {"ads": {}}}}),
        );
        let dump = json!({
            "@type": "type.googleapis.com/envoy.admin.v3.EcdsConfigDump",
            "ecds_filters": [{"ecds_filter": {"name": "portcullis", "typed_config": typed}}],
        });
        set(document, "/dump/configs/-", dump);
    };
    found(discovered, &[]);
    let without = |document: &mut Value| {
        discovered(document);
        remove(document, "/dump/configs/3");
    };
    found(without, &[Code::FilterAbsent]);
}

#[test]
fn disabled_or_only_on_some_routes() {
    let disabled = format!("{MANAGER}/http_filters/1/disabled");
    check(&disabled, true.into(), &[Code::FilterDisabled]);
    let route = format!("{MANAGER}/route_config/virtual_hosts/0/routes/0/typed_per_filter_config");
    let enabled = |document: &mut Value| {
        set(document, &disabled, true.into());
        set(document, &route, json!({"portcullis": {"@type": "x", "config": {}}}));
    };
    found(enabled, &[]);
    check(&route, json!({"portcullis": {"@type": "x", "disabled": true}}), &[Code::FilterDisabled]);
    check(&route, json!({"other": {"@type": "x", "disabled": true}}), &[]);
}

#[test]
fn before_jwt_authn() {
    let swapped = |document: &mut Value| {
        document.pointer_mut(MANAGER).unwrap()["http_filters"].as_array_mut().unwrap().swap(0, 1);
    };
    found(swapped, &[Code::FilterBeforeJwtAuthn]);
    // What another filter refuses never gets so far.
    let ext_authz = json!({"name": "z", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz"}});
    let guarded = |document: &mut Value| {
        let filters = document.pointer_mut(MANAGER).unwrap()["http_filters"].as_array_mut().unwrap();
        filters.insert(1, ext_authz);
    };
    found(guarded, &[]);
}

#[test]
fn tokens_that_jwt_authn_removes() {
    check(&format!("{PROVIDER}/forward"), false.into(), &[Code::JwtRemovesToken]);
    let payload = |document: &mut Value| {
        remove(document, &format!("{PROVIDER}/forward"));
        tokens(document, &json!([{"jwt_authn": "payload"}]));
    };
    found(payload, &[]);
}

#[test]
fn tokens_where_the_filter_does_not_look() {
    let by_default = |document: &mut Value| remove(document, &format!("{PROVIDER}/from_headers"));
    let unchecked = found(by_default, &[Code::TokenUnchecked]);
    assert!(unchecked[0].seen.contains("query parameter `access_token`"), "{unchecked:?}");
    found(
        |document| {
            by_default(document);
            tokens(
                document,
                &json!([{"header": "authorization", "scheme": "Bearer"}, {"query": "access_token"}]),
            );
        },
        &[],
    );
    check(&format!("{PROVIDER}/from_headers/-"), json!({"name": "x-token"}), &[Code::TokenUnchecked]);
    check(&format!("{PROVIDER}/from_cookies"), json!(["session"]), &[Code::TokenUnchecked]);
    check(&format!("{PROVIDER}/from_params"), json!(["t"]), &[Code::TokenUnchecked]);
    found(
        |document| {
            set(document, &format!("{PROVIDER}/from_cookies"), json!(["session"]));
            tokens(
                document,
                &json!([{"header": "authorization", "scheme": "Bearer"}, {"cookie": "session"}]),
            );
        },
        &[],
    );
}

#[test]
fn a_payload_that_nobody_stores() {
    found(
        |document| tokens(document, &json!([{"jwt_authn": "claims"}])),
        &[Code::JwtPayloadMissing, Code::TokenUnchecked],
    );
    let no_jwt_authn = |document: &mut Value| {
        tokens(document, &json!([{"jwt_authn": "payload"}]));
        remove(document, &format!("{MANAGER}/http_filters/0"));
    };
    found(no_jwt_authn, &[Code::JwtPayloadMissing]);
}

#[test]
fn how_long_a_cut_connection_stays() {
    let timeout = format!("{MANAGER}/delayed_close_timeout");
    check(&timeout, "1s".into(), &[Code::DelayedCloseTimeout]);
    check(&timeout, "0s".into(), &[]);
    found(|document| remove(document, &timeout), &[Code::DelayedCloseTimeout]);
    let kept = |document: &mut Value| {
        remove(document, &timeout);
        set(document, PLUGIN, r#"{"control_plane":{"cluster":"portcullis"},"streams":"keep"}"#.into());
    };
    found(kept, &[]);
}
