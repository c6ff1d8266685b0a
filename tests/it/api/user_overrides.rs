//! `/api/overrides`: what a tenant sets itself, with versions, over restarts, beside the operator's file.

use crate::support::http::{Response, send};
use crate::support::server::{DataDir, Server};
use serde_json::{Value, json};

const USERS: &str = "  user_configurable_overrides:\n    enabled: true\n    poll_interval: 20ms\n";

fn server(data: &DataDir, overrides: &str) -> Server {
    Server::start_with(data, &format!("multitenancy_enabled: true\n{}overrides:\n{overrides}", data.config()), &[])
}

fn ask(server: &Server, method: &str, path: &str, tenant: &str, headers: &[(&str, &str)], body: &Value) -> Response {
    let headers: Vec<_> = headers.iter().copied().chain([("X-Scope-OrgID", tenant)]).collect();
    let body = if body.is_null() { String::new() } else { body.to_string() };
    send(server.api, method, &format!("/api/overrides{path}"), &headers, body.as_bytes()).expect("an answer")
}

fn get(server: &Server, tenant: &str, path: &str) -> Response {
    ask(server, "GET", path, tenant, &[], &Value::Null)
}

fn interval(text: &str) -> Value {
    json!({"metrics_generator": {"collection_interval": text}})
}

#[test]
fn without_the_key_there_is_no_such_path() {
    let server = Server::fresh();
    let answer = server.get("/api/overrides");
    assert_eq!((answer.status, answer.text()), (404, "404 page not found\n".to_string()));
}

#[test]
fn versions_keep_writers_apart() {
    let data = DataDir::new();
    let server = server(&data, USERS);
    let none = get(&server, "anna", "");
    assert_eq!((none.status, none.body.len()), (404, 0));
    assert_eq!(send(server.api, "GET", "/api/overrides", &[], b"").expect("an answer").status, 401);
    let post = |tenant: &str, headers: &[(&str, &str)], body: &Value| ask(&server, "POST", "", tenant, headers, body);

    let refused = post("anna", &[], &interval("20s"));
    assert_eq!((refused.status, refused.text()), (428, "must specify If-Match header".to_string()));
    assert_eq!(post("anna", &[("If-Match", "1")], &interval("20s")).status, 412);
    let first = post("anna", &[("If-Match", "0")], &interval("20s"));
    assert_eq!(first.status, 200, "{}", first.text());
    let version = first.header("ETag").to_string();
    assert!(!version.is_empty());
    assert_eq!(post("anna", &[("If-Match", "0")], &interval("25s")).status, 412, "it is there by now");

    let shown = get(&server, "anna", "?scope=api");
    assert_eq!((shown.header("ETag"), shown.content_type(), shown.json()), (version.as_str(), "application/json", interval("20s")));
    assert_eq!(get(&server, "bert", "").status, 404, "of this tenant only");
    let second = post("anna", &[("If-Match", &version)], &interval("30s"));
    assert_ne!(second.header("ETag"), version);
    assert_eq!(post("anna", &[("If-Match", &version)], &interval("40s")).status, 412);

    let patched = ask(&server, "PATCH", "", "anna", &[], &json!({"metrics_generator": {"disable_collection": true}}));
    let both = json!({"metrics_generator": {"collection_interval": "30s", "disable_collection": true}});
    assert_eq!((patched.status, patched.json()), (200, both.clone()));
    assert_eq!(ask(&server, "PATCH", "", "bert", &[], &interval("50s")).json(), interval("50s"), "a patch of nothing");

    let merged = get(&server, "anna", "?scope=merged").json();
    assert_eq!(
        (&merged["metrics_generator"]["collection_interval"], &merged["metrics_generator"]["trace_id_label_name"]),
        (&"30s".into(), &"traceID".into())
    );
    let wrong = get(&server, "anna", "?scope=all");
    assert_eq!((wrong.status, wrong.text()), (400, "unknown scope \"all\", valid options are api and merged".to_string()));

    drop(server);
    let server = self::server(&data, USERS);
    let kept = get(&server, "anna", "");
    assert_eq!(kept.json(), both, "kept over a restart");
    assert!(data.path().join("overrides/anna/overrides.json").exists(), "beside the blocks");
    let delete = |headers: &[(&str, &str)]| ask(&server, "DELETE", "", "anna", headers, &Value::Null).status;
    assert_eq!((delete(&[]), delete(&[("If-Match", "x")])), (428, 412));
    assert_eq!((delete(&[("If-Match", kept.header("ETag"))]), get(&server, "anna", "").status), (200, 404));
    assert_eq!(delete(&[("If-Match", "0")]), 404);
    assert_eq!(ask(&server, "PUT", "", "anna", &[], &json!({})).status, 405);
    assert!(server.metric("tempo_overrides_user_configurable_overrides_list_total") >= 1.0);
    assert!(server.get("/metrics").text().contains("tempo_overrides_user_configurable_overrides_fetch_total{tenant=\"bert\"}"));
}

#[test]
fn what_makes_no_sense_is_not_written() {
    let data = DataDir::new();
    let server = server(&data, USERS);
    for (body, part) in [
        (json!({"ingestion": {"rate_limit_bytes": 0}}), "unknown field \"ingestion\""),
        (json!({"metrics_generator": {"processors": ["every"]}}), "every is no processor of the metrics generator"),
        (json!({"metrics_generator": {"collection_interval": "soon"}}), "cannot unmarshal"),
        (json!([]), "must be a JSON object"),
    ] {
        let answer = ask(&server, "POST", "", "anna", &[("If-Match", "0")], &body);
        assert!(answer.status == 400 && answer.text().contains(part), "{body}: {} {}", answer.status, answer.text());
        assert_eq!(ask(&server, "PATCH", "", "anna", &[], &body).status, 400);
    }
    let headers = [("If-Match", "0"), ("X-Scope-OrgID", "anna")];
    assert_eq!(send(server.api, "POST", "/api/overrides", &headers, b"{").expect("an answer").status, 400);
    assert_eq!(send(server.api, "POST", "/api/overrides", &headers, &vec![b' '; 2 << 20]).expect("an answer").status, 413);
    assert_eq!(ask(&server, "POST", "", "anna|bert", &[("If-Match", "0")], &json!({})).status, 400);
    assert_eq!(get(&server, "anna", "").status, 404, "nothing was written");
}

#[test]
fn what_the_operator_says_may_be_kept_from_being_hidden() {
    let data = DataDir::new();
    let file = data.path().join("tenants.yaml");
    std::fs::write(&file, "overrides:\n  anna:\n    metrics_generator: {collection_interval: 40s}\n").expect("writable");
    let keys = format!(
        "  per_tenant_override_config: {}\n{USERS}    api: {{check_for_conflicting_runtime_overrides: true}}\n    client: {{backend: local, local: {{path: {}}}}}\n",
        file.display(),
        data.path().join("elsewhere").display()
    );
    let server = server(&data, &keys);
    let refused = ask(&server, "POST", "", "anna", &[("If-Match", "0")], &interval("20s"));
    assert!(refused.status == 400 && refused.text().starts_with("metrics_generator.collection_interval is set"), "{}", refused.text());
    assert_eq!(ask(&server, "POST", "", "bert", &[("If-Match", "0")], &interval("20s")).status, 200);
    let labels = json!({"metrics_generator": {"trace_id_label_name": "trace"}});
    assert_eq!(ask(&server, "POST", "", "anna", &[("If-Match", "0")], &labels).status, 200);
    // The entry, and on top of it the document.
    let merged = get(&server, "anna", "?scope=merged").json();
    assert_eq!(
        (&merged["metrics_generator"]["collection_interval"], &merged["metrics_generator"]["trace_id_label_name"]),
        (&"40s".into(), &"trace".into())
    );
    let skipping = ask(&server, "PATCH", "?skip-conflicting-overrides-check=true", "anna", &[], &interval("20s"));
    assert_eq!(
        (skipping.status, get(&server, "anna", "?scope=merged").json()["metrics_generator"]["collection_interval"].clone()),
        (200, "20s".into())
    );
    assert_eq!(ask(&server, "PATCH", "?skip-conflicting-overrides-check=perhaps", "anna", &[], &interval("20s")).status, 400);
    assert!(data.path().join("elsewhere/overrides/anna/overrides.json").exists());
}
