//! Three real parties as their operators see them: metrics, health, the audit log, stopping, and memory.

#[cfg(test)]
mod common;

use std::path::Path;

use common::{
    Client, Conversation, LABELS, Parties, SAMPLES, TestModel, finish, metric, run, send_input, until_metric,
};
use mpc_core::Role::{self, P0, P1, P2};
use mpc_core::network::identity::Identity;
use mpc_core::wire::message::{Code, Reply, Request};
use serde_json::Value;

fn audit(parties: &Parties, role: Role, file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(parties.config(role).with_file_name(file)).expect("an audit log");
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON object")).collect()
}

async fn publish(parties: &Parties, model: &TestModel) -> Client {
    parties.connect(&parties.publisher).await.publish(model).await;
    parties.connect(&parties.client).await
}

async fn begin(client: &Client, model: &TestModel) -> [Conversation; 3] {
    client.begin(model, SAMPLES.len()).await.unwrap_or_else(|reply| panic!("{reply:?}"))
}

async fn answer(mut session: [Conversation; 3]) -> Result<Vec<u64>, Reply> {
    send_input(&mut session, &SAMPLES, &Role::ALL).await;
    finish(session, SAMPLES.len()).await
}

#[test]
fn metrics_health_and_the_audit_log_tell_what_happened() {
    let mut parties = Parties::start("[audit]\nfile = \"audit.log\"");
    let model = TestModel::first_three_pixels(1);
    let stranger = Identity::generate("stranger").unwrap();
    run(async {
        let client = publish(&parties, &model).await;
        assert_eq!(client.classify(&model, &SAMPLES).await, Ok(LABELS.to_vec()));
        client.ask(P1, &Request::Upload(model.upload(P1))).await.refused(Code::NoRight).await;
        parties.call(&stranger).await.connections[1].closed().await;
        let [classified, refused] =
            ["ok", "refused"].map(|outcome| format!("mpc_party_requests_total{{kind=\"K\",outcome=\"{outcome}\"}}"));
        until_metric(&parties, P1, &classified.replace('K', "classify"), 1.0).await;
        until_metric(&parties, P1, &refused.replace('K', "upload"), 1.0).await;
        until_metric(&parties, P1, "mpc_party_refusals_total{code=\"no-right\"}", 1.0).await;
        until_metric(&parties, P1, "mpc_party_refused_connections_total", 1.0).await;
        until_metric(&parties, P1, "mpc_party_sessions_running", 0.0).await;
    });
    for (series, expected) in [
        ("mpc_party_build_info{version=\"0.1.0\",protocol=\"V\"}", 1.0),
        ("mpc_party_sessions_total{model=\"pixels\",outcome=\"ok\"}", 1.0),
        ("mpc_party_step_seconds_count{model=\"pixels\",step=\"queue\"}", 1.0),
        ("mpc_party_step_seconds_count{model=\"pixels\",step=\"input\"}", 1.0),
        ("mpc_party_step_seconds_count{model=\"pixels\",step=\"compute\"}", 1.0),
        ("mpc_party_step_seconds_bucket{le=\"+Inf\",model=\"pixels\",step=\"total\"}", 1.0),
        ("mpc_party_models", 1.0),
        ("mpc_party_ready", 1.0),
        ("mpc_party_peer_up{peer=\"P0\"}", 1.0),
        ("mpc_party_peer_connections_total{peer=\"P2\"}", 1.0),
        ("mpc_party_reserved_memory_bytes", 0.0),
        ("mpc_party_audit_failing", 0.0),
    ] {
        let series = series.replace('V', &mpc_core::wire::message::PROTOCOL_VERSION.to_string());
        assert_eq!(metric(&parties, P1, &series), Some(expected), "{series}");
    }
    for series in [
        "mpc_party_rounds_total{model=\"pixels\"}",
        "mpc_party_sent_bytes_total{model=\"pixels\"}",
        "mpc_party_peer_rtt_seconds{peer=\"P0\"}",
        "mpc_party_uptime_seconds",
        "mpc_party_resident_memory_bytes",
    ] {
        assert!(metric(&parties, P1, series).is_some_and(|value| value > 0.0), "{series}");
    }
    let (_, text) = parties.http(P1, "GET /metrics");
    assert!(text.ends_with("# EOF\n") && !text.contains("sha256") && !text.contains("client\""), "{text}");

    assert_eq!(parties.http(P1, "GET /healthz"), (200, "alive\n".into()));
    assert_eq!(parties.http(P1, "GET /readyz"), (200, "ready\n".into()));
    assert_eq!(parties.http(P1, "POST /metrics").0, 405);
    assert_eq!(parties.http(P1, "GET /elsewhere").0, 404);
    parties.kill(P2);
    while parties.http(P1, "GET /readyz") != (503, "not connected to P2\n".into()) {}
    assert_eq!(parties.http(P1, "GET /healthz").0, 200, "a lost peer is no reason to restart");
    assert_eq!(metric(&parties, P1, "mpc_party_peer_up{peer=\"P2\"}"), Some(0.0));
    assert_eq!(metric(&parties, P1, "mpc_party_peer_rtt_seconds{peer=\"P2\"}"), None);

    assert!(parties.terminate(P1), "it ends with its log complete");
    let lines = audit(&parties, P1, "audit.log");
    let with = |action: &str, outcome: &str| {
        let found = lines.iter().find(|line| line["action"] == action && line["outcome"] == outcome);
        found.unwrap_or_else(|| panic!("{action} {outcome}: {lines:?}"))
    };
    let line = with("classify", "ok");
    assert_eq!(
        (&line["party"], &line["principal"], &line["model"]),
        (&"P1".into(), &"client".into(), &"pixels".into())
    );
    assert_eq!((&line["inputs"], &line["windows"], &line["security"]), (&3.into(), &3.into(), &"active".into()));
    assert_eq!(line["fingerprint"], parties.client.fingerprint().to_string());
    assert_eq!(line["publication"], "01".repeat(32));
    assert_eq!(line["session"].as_str().unwrap().len(), 64);
    assert!(line["rounds"].as_u64() > Some(0) && line["bytes_sent"].as_u64() > Some(0), "{line}");
    assert!(line["time"].as_str().is_some_and(|time| time.len() == 24 && time.ends_with('Z')), "{line}");
    assert!(line.get("reason").is_none() && line["duration_ms"].is_u64(), "{line}");
    assert_eq!((&with("upload", "ok")["principal"], &line["tenant"]), (&"publisher".into(), &"default".into()));
    assert_eq!(with("activate", "ok")["publication"], "01".repeat(32));
    assert_eq!(with("upload", "refused")["code"], "no-right");
    assert!(with("upload", "refused")["reason"].as_str().unwrap().contains("publish"));
    assert_eq!(with("connect", "refused")["fingerprint"], stranger.fingerprint().to_string());
    assert!(lines.iter().all(|line| line["action"] != "status"), "health checks are not written down");
}

#[test]
#[cfg(feature = "otel")]
fn traces_go_to_the_collector() {
    let mut parties = Parties::start("");
    let model = TestModel::first_three_pixels(1);
    let collector = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let key = format!("[telemetry]\notlp = \"http://{}/v1/traces\"\n", collector.local_addr().unwrap());
    let text = std::fs::read_to_string(parties.config(P0)).unwrap();
    std::fs::write(parties.config(P0), text.replace("[telemetry]\n", &key)).unwrap();
    parties.kill(P0);
    parties.restart(P0);
    let received = std::thread::spawn(move || {
        use std::io::Read;
        let mut stream = collector.accept().unwrap().0;
        let (mut received, mut buffer) = (Vec::new(), [0; 4096]);
        let has = |received: &[u8], name: &[u8]| received.windows(name.len()).any(|window| window == name);
        while !(has(&received, b"admission") && has(&received, b"input") && has(&received, b"compute")) {
            let n = stream.read(&mut buffer).unwrap();
            assert!(n > 0, "the spans of a request and its steps: {}", String::from_utf8_lossy(&received));
            received.extend_from_slice(&buffer[..n]);
        }
        received
    });
    run(async {
        let client = publish(&parties, &model).await;
        assert_eq!(client.classify(&model, &SAMPLES).await, Ok(LABELS.to_vec()));
    });
    assert!(parties.terminate(P0), "it sends what it has");
    assert!(received.join().unwrap().starts_with(b"POST /v1/traces"));
}

#[test]
#[cfg(not(feature = "otel"))]
fn a_key_that_this_program_cannot_follow_is_refused() {
    let parties = Parties::start("");
    let text = std::fs::read_to_string(parties.config(P0)).unwrap();
    let text = text.replace("[telemetry]\n", "[telemetry]\notlp = \"http://127.0.0.1:4318/v1/traces\"\n");
    std::fs::write(parties.config(P0), text).unwrap();
    let serve =
        std::process::Command::new(common::program()).args(["serve", "--config"]).arg(parties.config(P0)).output();
    let (code, line) = serve.map(|output| (output.status.code(), String::from_utf8(output.stderr).unwrap())).unwrap();
    assert!(code == Some(2) && line.contains("telemetry.otlp") && line.contains("--features otel"), "{code:?} {line}");
}

#[test]
fn the_audit_log_can_be_moved_away() {
    let mut parties = Parties::start("[audit]\nfile = \"audit.log\"");
    run(async {
        let client = parties.connect(&parties.client).await;
        client.ask(P0, &Request::Models).await.reply().await;
        let path = parties.config(P0).with_file_name("audit.log");
        while audit(&parties, P0, "audit.log").is_empty() {}
        std::fs::rename(&path, path.with_file_name("audit.old")).unwrap();
        parties.signal(P0, "HUP");
        while !Path::new(&path).exists() {
            tokio::task::yield_now().await;
        }
        client.ask(P0, &Request::Models).await.reply().await;
        assert!(parties.terminate(P0));
        assert_eq!((audit(&parties, P0, "audit.old").len(), audit(&parties, P0, "audit.log").len()), (1, 1));
    });
}

#[test]
#[cfg(target_os = "linux")]
fn without_a_required_audit_log_nobody_is_served() {
    let parties = Parties::start("[audit]\nfile = \"/dev/full\"\nrequired = true");
    run(async {
        let client = parties.connect(&parties.client).await;
        client.ask(P2, &Request::Models).await.reply().await;
        until_metric(&parties, P2, "mpc_party_audit_failing", 1.0).await;
        let request = Request::Evaluate(TestModel::first_three_pixels(1).classify(1));
        let reason = client.ask(P2, &request).await.refused(Code::Unavailable).await;
        assert!(reason.contains("P2 cannot write its audit log"), "{reason}");
        assert_eq!(parties.http(P2, "GET /readyz"), (503, "the audit log cannot be written\n".into()));
        assert_eq!(metric(&parties, P2, "mpc_party_limit_refusals_total{limit=\"audit\"}"), Some(1.0));
    });
}

#[test]
fn a_party_that_is_told_to_stop_finishes_what_it_has_begun() {
    let mut parties = Parties::start("sessions = 1");
    let model = TestModel::first_three_pixels(1);
    run(async {
        let mut client = publish(&parties, &model).await;
        for role in [P1, P0] {
            let running = begin(&client, &model).await;
            // It waits for its turn, and P0 gives it none any more once it stops itself.
            let mut queued = client.ask_all(&Request::Evaluate(model.classify(1))).await;
            until_metric(&parties, P0, "mpc_party_sessions_waiting", 1.0).await;

            parties.signal(role, "TERM");
            while parties.http(role, "GET /readyz") != (503, "stopping\n".into()) {}
            let reason = client.ask(role, &Request::Evaluate(model.classify(1))).await.refused(Code::Unavailable).await;
            assert!(reason.contains(&format!("{role} is stopping; try again")), "{reason}");
            if role == P0 {
                for queued in &mut queued[..2] {
                    let reason = queued.refused(Code::Unavailable).await;
                    assert!(reason.contains("P0 is stopping"), "{reason}");
                }
            } else {
                drop(queued);
            }
            assert_eq!(answer(running).await, Ok(LABELS.to_vec()), "begun before {role} was told to stop");
            assert!(parties.ended(role), "{role} ends in order");
            if role == P1 {
                parties.restart(P1);
                client = parties.connect(&parties.client).await;
                assert_eq!(client.classify(&model, &SAMPLES).await, Ok(LABELS.to_vec()));
            }
        }
    });
}

#[test]
fn a_party_that_is_told_twice_stops_at_once() {
    let mut parties = Parties::start("drain_s = 86400\nsession_timeout_s = 86400\nwait_s = 3600");
    let model = TestModel::first_three_pixels(1);
    run(async {
        let client = publish(&parties, &model).await;
        let mut session = begin(&client, &model).await;
        send_input(&mut session, &SAMPLES, &[P0, P1]).await;
        parties.signal(P2, "TERM");
        while parties.http(P2, "GET /readyz").0 != 503 {}
        parties.signal(P2, "TERM");
        assert!(parties.ended(P2));
        let reason = session[0].failure().await;
        assert!(reason.contains("P2"), "{reason}");
    });
}

#[test]
fn sessions_wait_for_memory_in_order() {
    // One session of this model needs some 57 MiB with active security.
    let parties = Parties::start("memory_mib = 100");
    let model = TestModel::first_three_pixels(1);
    run(async {
        let client = std::sync::Arc::new(publish(&parties, &model).await);
        let first = begin(&client, &model).await;
        let second = {
            let (client, model) = (client.clone(), model.clone());
            tokio::spawn(async move { client.classify(&model, &SAMPLES).await })
        };
        until_metric(&parties, P0, "mpc_party_sessions_waiting", 1.0).await;
        assert_eq!(metric(&parties, P0, "mpc_party_sessions_running"), Some(1.0));
        assert!(metric(&parties, P0, "mpc_party_reserved_memory_bytes") > Some(50e6));
        assert_eq!(answer(first).await, Ok(LABELS.to_vec()));
        assert_eq!(second.await.unwrap(), Ok(LABELS.to_vec()));
    });
}

#[test]
fn a_party_with_less_memory_refuses_with_the_figure() {
    let mut parties = Parties::start("wait_s = 2\nmemory_mib = 1000");
    let model = TestModel::first_three_pixels(1);
    let config = parties.config(P1);
    let text = std::fs::read_to_string(&config).unwrap();
    let limit = |parties: &mut Parties, mib: u32| {
        std::fs::write(&config, text.replace("memory_mib = 1000", &format!("memory_mib = {mib}"))).unwrap();
        parties.kill(P1);
        parties.restart(P1);
    };
    limit(&mut parties, 100);
    run(async {
        let client = publish(&parties, &model).await;
        let first = begin(&client, &model).await;
        let mut second = client.ask_all(&Request::Evaluate(model.classify(1))).await;
        let reason = second[1].refused(Code::Busy).await;
        assert!(reason.contains("P1 has") && reason.contains("of 100 MiB"), "{reason}");
        assert!(second[0].failure().await.contains("P1"), "P1 tells its peers");
        assert_eq!(answer(first).await, Ok(LABELS.to_vec()));
        assert_eq!(metric(&parties, P1, "mpc_party_limit_refusals_total{limit=\"memory\"}"), Some(1.0));

        limit(&mut parties, 20);
        let client = parties.connect(&parties.client).await;
        let reason = client.ask(P1, &Request::Evaluate(model.classify(1))).await.refused(Code::TooLarge).await;
        assert!(reason.contains("20 MiB") && reason.contains("limits.memory_mib"), "{reason}");
    });
}
