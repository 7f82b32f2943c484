//! What is no call gets a problem document as well.

use crate::support::{control_plane, get, problem};

#[tokio::test]
async fn an_unknown_path_is_not_found() {
    let plane = control_plane().await;
    for path in
        ["/", "/v1", "/v1/revocations/", "/v2/revocations", "/v1/revocations/r1-0000/redo", "/nonsense"]
    {
        problem(&get(&plane, path).await, 404, "no_such_route");
    }
}

#[tokio::test]
async fn a_method_that_a_route_does_not_take_is_told_which_it_does() {
    let plane = control_plane().await;
    for (method, path, allow) in [
        ("PUT", "/v1/revocations", "GET,HEAD,POST"),
        ("OPTIONS", "/v1/revocations", "GET,HEAD,POST"),
        ("GET", "/v1/check", "POST"),
        ("GET", "/v1/revocations/r1-0000/undo", "POST"),
        ("DELETE", "/v1/edges", "GET,HEAD"),
        ("POST", "/livez", "GET,HEAD"),
        ("PATCH", "/v1/keys/abc", "DELETE"),
    ] {
        let call = plane.api().call(method.parse().unwrap(), path).bearer(plane.admin_key());
        let reply = call.send().await.unwrap();
        problem(&reply, 405, "method_not_allowed");
        let mut allowed: Vec<&str> = reply.header("allow").unwrap_or_default().split(',').collect();
        allowed.sort_unstable();
        assert_eq!(allowed.join(","), allow, "{method} {path}");
    }
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let plane = control_plane().await;
    let head = |path: &str| plane.api().call("HEAD".parse().unwrap(), path).bearer(plane.admin_key()).send();
    let reply = head("/v1/revocations").await.unwrap();
    assert_eq!((reply.status.as_u16(), reply.body.len()), (200, 0));
    let reply = head("/nonsense").await.unwrap();
    assert_eq!((reply.status.as_u16(), reply.body.len()), (404, 0));
}

#[tokio::test]
async fn no_answer_may_be_cached() {
    let plane = control_plane().await;
    for path in ["/livez", "/v1/revocations", "/nonsense", "/v1/openapi.json"] {
        assert_eq!(get(&plane, path).await.header("cache-control"), Some("no-store"), "{path}");
    }
}
