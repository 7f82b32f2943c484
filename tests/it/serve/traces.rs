//! Traces, as a collector gets them: from the call to the last edge's receipt.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_proto::tonic::trace::v1::Span;
use portcullis_testbed::ControlPlane;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::feed::edge::Edge;
use crate::support::{ISSUER, setup};

/// None can be installed here, so this stands for one: it takes what comes, as OTLP has it.
struct Collector(mpsc::UnboundedSender<Span>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for resource in request.into_inner().resource_spans {
            let attributes = resource.resource.unwrap().attributes;
            assert!(attributes.iter().any(|attribute| attribute.key == "service.name"));
            for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                let _ = self.0.send(span);
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

async fn collector() -> (String, mpsc::UnboundedReceiver<Span>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, spans) = mpsc::unbounded_channel();
    let service = TraceServiceServer::new(Collector(sender));
    let serving = tonic::transport::Server::builder()
        .add_service(service)
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(serving);
    (endpoint, spans)
}

async fn revoke(plane: &ControlPlane, sub: &str, headers: &[(&str, &str)]) -> Value {
    let body = json!({"kind": "subject", "issuer": ISSUER, "value": sub, "reason": "secret reason"});
    let call = plane.api().post("/v1/revocations").bearer(plane.admin_key()).json(&body);
    let call = headers.iter().fold(call, |call, (name, value)| call.header(name, value));
    let reply = call.send().await.unwrap();
    assert_eq!(reply.status, 201, "{}", reply.text());
    reply.json().unwrap()
}

fn attribute(span: &Span, key: &str) -> Option<String> {
    attribute_of(&span.attributes, key)
}

fn attribute_of(
    attributes: &[opentelemetry_proto::tonic::common::v1::KeyValue],
    key: &str,
) -> Option<String> {
    let value = attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?.value.as_ref()?;
    Some(match value {
        any_value::Value::StringValue(text) => text.clone(),
        any_value::Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    })
}

#[tokio::test]
async fn one_trace_leads_from_the_call_to_the_last_receipt() {
    let (endpoint, mut spans) = collector().await;
    let plane = setup().env("PORTCULLIS_TRACES_ENDPOINT", &endpoint).arg("--log-format").arg("json");
    let plane = plane.start().await.unwrap();
    let mut edge = Edge::new("a");
    let mut link = edge.connect(&plane).await;
    edge.take(&mut link).await.unwrap();

    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let revoked = revoke(&plane, "alice@example.com", &[("traceparent", parent)]).await;
    while edge.sync.store().is_none_or(|store| Some(store.version) != revoked["version"].as_u64()) {
        edge.take(&mut link).await.unwrap();
    }
    let ours = |span: &Span| hex(&span.trace_id) == "0af7651916cd43dd8448eb211c80319c";
    let mut found = Vec::new();
    while found.len() < 3 {
        let span = tokio::time::timeout(Duration::from_secs(30), spans.recv()).await.unwrap().unwrap();
        // Neither a user nor a reason leaves by this way.
        assert!(!format!("{span:?}").contains("alice") && !format!("{span:?}").contains("secret reason"));
        if ours(&span) {
            found.push(span);
        }
    }
    let named =
        |name: &str| found.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("{found:?}"));
    let (call, append, enforce) = (named("POST /v1/revocations"), named("append"), named("enforce"));
    assert_eq!(hex(&call.parent_span_id), "b7ad6b7169203331");
    assert_eq!(attribute(call, "http.response.status_code").as_deref(), Some("201"));
    assert_eq!((&append.parent_span_id, &enforce.parent_span_id), (&call.span_id, &call.span_id));
    assert_eq!(attribute(append, "events").as_deref(), Some("1"));
    assert_eq!(attribute(enforce, "portcullis.version"), Some(revoked["version"].to_string()));
    assert_eq!(attribute(enforce, "portcullis.edges.applied").as_deref(), Some("1"));
    assert_eq!(attribute(enforce, "portcullis.edges.pending").as_deref(), Some("0"));
    let [receipt] = enforce.events.as_slice() else { panic!("{enforce:?}") };
    assert_eq!(receipt.name, "receipt");
    assert_eq!(attribute_of(&receipt.attributes, "portcullis.node").as_deref(), Some("node-a"));
    assert!(receipt.time_unix_nano <= enforce.end_time_unix_nano);

    // The log has the ids of both.
    let id = revoked["id"].as_str().unwrap();
    let line =
        plane.log().wait_for(&format!("\"revocation\":\"{id}\""), Duration::from_secs(20)).await.unwrap();
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["message"], &line["via"]), (&json!("revoked"), &json!("api")), "{line}");
    assert_eq!(line["trace"], "0af7651916cd43dd8448eb211c80319c", "{line}");
    assert!(!plane.log().text().contains("alice"), "{}", plane.log());
}

#[tokio::test]
async fn an_edge_that_does_not_answer_is_told_in_the_trace() {
    let (endpoint, mut spans) = collector().await;
    let plane = setup().env("PORTCULLIS_TRACES_ENDPOINT", &endpoint).start().await.unwrap();
    let mut edge = Edge::new("a");
    let mut link = edge.connect(&plane).await;
    edge.take(&mut link).await.unwrap();
    revoke(&plane, "alice", &[]).await;
    let enforce = async {
        loop {
            let span = spans.recv().await.unwrap();
            if span.name == "enforce" {
                return span;
            }
        }
    };
    let enforce = tokio::time::timeout(Duration::from_secs(40), enforce).await.unwrap();
    assert_eq!(attribute(&enforce, "portcullis.edges.pending").as_deref(), Some("1"));
    assert_eq!(enforce.events[0].name, "no receipt");
    assert!(enforce.status.unwrap().message.contains("does not enforce it yet"));
    drop(link);
}

/// Whoever collects is no part of what must go on.
#[tokio::test]
async fn a_collector_that_is_down_holds_nothing_up() {
    let plane = setup().env("PORTCULLIS_TRACES_ENDPOINT", "http://127.0.0.1:9");
    let mut plane = plane.start().await.unwrap();
    for index in 0..20 {
        revoke(&plane, &format!("u{index}"), &[("traceparent", "nonsense")]).await;
    }
    let status = plane.process().terminate(Duration::from_secs(20)).await.unwrap();
    assert!(status.success(), "{status}: {}", plane.log());
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
