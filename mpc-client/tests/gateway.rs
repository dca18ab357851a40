//! Every route of the gateway, with three real servers.

mod program;
mod served;
mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use futures_util::{SinkExt, StreamExt};
use mpc_client::Dealing;
use mpc_client_local::LocalCluster;
use mpc_core::Role;
use program::{client, run};
use serde_json::{Value, json};
use served::{DEADLINE, Running, serve};
use support::{brightness_model, comparing_model, picture};
use tempfile::{TempDir, tempdir};
use tokio::net::TcpSocket;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A running gateway and its parties.
struct Gateway {
    program: Running,
    address: SocketAddr,
    parties: LocalCluster,
    dir: TempDir,
}

/// A status, the head and the body.
type Response = (u16, String, Vec<u8>);

impl Gateway {
    /// Starts a gateway with these models and further arguments.
    fn start(models: impl Fn(&Path), arguments: &[&str]) -> Self {
        let dir = tempdir().expect("a folder");
        let mut parties = LocalCluster::start(Path::new(env!("CARGO_BIN_EXE_mpc-client"))).expect("three parties");
        let folder = dir.path().join("models");
        models(&folder);
        runtime().block_on(async {
            let client = parties.connect().await.expect("three connected parties");
            for entry in std::fs::read_dir(folder).expect("the models") {
                let model = mpc_core::model::Model::load(&entry.expect("a model").path()).expect("a good model");
                client.publish(&model, &Dealing::fresh().expect("randomness"), false).await.expect("a publication");
            }
            client.close().await;
        });
        let cluster = toml::to_string(parties.cluster()).expect("TOML");
        std::fs::write(dir.path().join("cluster.toml"), cluster).expect("a file can be written");
        parties.identity().save(&dir.path().join("client")).expect("a file can be written");
        std::fs::write(dir.path().join("tokens"), TOKEN).expect("a file can be written");
        for (name, shade) in [("night.png", 10), ("evening.png", 60), ("day.png", 240)] {
            picture(dir.path(), name, shade);
        }
        let (program, address) = serve(dir.path(), &[&["--listen", "127.0.0.1:0"], arguments].concat());
        Self { program, address, parties, dir }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("a gateway");
        stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
        stream
    }

    /// Sends a raw request; headers end in CR LF.
    fn raw(&self, line: &str, headers: &str, body: &[u8]) -> Response {
        let mut stream = self.connect();
        let head = format!("{line} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", self.address);
        stream.write_all(&[head.as_bytes(), body].concat()).expect("the gateway reads");
        response(stream)
    }

    /// The status and the object that answers a request without a body.
    fn json(&self, line: &str) -> (u16, Value) {
        object(self.raw(line, "", b""))
    }

    /// The same for a request with these files.
    fn post(&self, path: &str, files: &[&str]) -> (u16, Value) {
        object(self.send(path, files))
    }

    fn send(&self, path: &str, files: &[&str]) -> Response {
        let body = self.multipart(files);
        let headers = format!("{MULTIPART}Content-Length: {}\r\n", body.len());
        self.raw(&format!("POST {path}"), &headers, &body)
    }

    fn multipart(&self, files: &[&str]) -> Vec<u8> {
        let part = |(i, name): (usize, &&str)| {
            let content = std::fs::read(self.dir.path().join(name)).unwrap_or_else(|_| b"not a picture".to_vec());
            let head =
                format!("--limit\r\nContent-Disposition: form-data; name=\"file{i}\"; filename=\"{name}\"\r\n\r\n");
            [head.as_bytes(), &content, b"\r\n"].concat()
        };
        [files.iter().enumerate().map(part).collect::<Vec<_>>().concat(), b"--limit--\r\n".to_vec()].concat()
    }
}

const MULTIPART: &str = "Content-Type: multipart/form-data; boundary=limit\r\n";

/// The next message, or `None` after a close.
async fn receive(socket: &mut WebSocketStream<tokio::net::TcpStream>) -> Option<Message> {
    within(socket.next()).await.map(|message| message.expect("a connection"))
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.expect("in time")
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Asks a program to end.
fn stop(program: &Running) {
    assert!(Command::new("kill").arg(program.0.id().to_string()).status().expect("a program").success());
}

fn response(mut stream: TcpStream) -> Response {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("the gateway answers");
    let end = bytes.windows(4).position(|end| end == b"\r\n\r\n").expect("the end of the head");
    let head = String::from_utf8(bytes[..end].to_vec()).expect("text");
    let status = head[9..12].parse().expect("a status");
    (status, head.to_lowercase(), bytes.split_off(end + 4))
}

fn object((status, head, body): Response) -> (u16, Value) {
    assert!(head.contains("content-type: application/json"), "{head}");
    (status, serde_json::from_slice(&body).expect("JSON"))
}

fn labels(answer: &Value) -> Vec<&str> {
    answer["results"].as_array().expect("results").iter().filter_map(|result| result["label"].as_str()).collect()
}

#[test]
fn every_question_has_a_route() {
    let gateway = Gateway::start(
        |models| {
            for name in ["emotion", "speaker", "face"] {
                brightness_model(models, name, ["dark", "bright"]);
            }
            comparing_model(models, "face-match", "label");
            comparing_model(models, "speaker-verify", "scores");
        },
        &[],
    );
    assert_eq!(gateway.json("GET /healthz"), (200, json!({ "status": "ready" })));
    let (status, models) = gateway.json("GET /v1/models");
    let names: Vec<&Value> = models["models"].as_array().unwrap().iter().map(|model| &model["name"]).collect();
    assert_eq!((status, names.len(), &models["command"]), (200, 5, &json!("models")), "{names:?}");

    let questions = [("emotion", "emotion"), ("classify", "classify"), ("speaker/identify", "identify-speaker")];
    for (path, command) in questions {
        let (status, answer) = gateway.post(&format!("/v1/{path}?security=passive"), &["night.png", "text", "day.png"]);
        assert_eq!((status, labels(&answer)), (200, vec!["dark", "bright"]), "{answer}");
        assert_eq!((&answer["command"], &answer["security"]), (&json!(command), &json!("passive")));
        assert_eq!(answer["results"][1]["input"], json!("text"));
        assert!(answer["results"][1]["error"].is_string() && answer["rounds"].as_u64() > Some(0), "{answer}");
    }
    let (status, answer) = gateway.post("/v1/classify?model=emotion", &["day.png"]);
    assert_eq!((status, &answer["model"], &answer["security"]), (200, &json!("emotion"), &json!("active")));
    let (status, answer) = gateway.post("/v1/speaker/verify", &["night.png", "day.png"]);
    assert_eq!((status, labels(&answer)), (200, vec!["different"]));
    assert!((answer["results"][0]["cosine"].as_f64().unwrap() + 1.0).abs() < 1e-3, "{answer}");

    for (path, files, status, kind) in [
        ("/v1/classify?model=nose", &["day.png"][..], 404, "not-found"),
        ("/v1/classify?model=face-match", &["day.png"], 400, "usage"),
        ("/v1/classify?security=none", &["day.png"], 400, "usage"),
        ("/v1/classify?colour=red", &["day.png"], 400, "usage"),
        ("/v1/classify", &["text", "other"], 400, "input"),
        ("/v1/classify", &[], 400, "usage"),
        ("/v1/speaker/verify", &["day.png"], 400, "usage"),
        ("/v1/speaker/verify", &["day.png", "text"], 400, "input"),
        ("/v1/face/enrol", &["day.png"], 400, "usage"),
        ("/v1/face/enrol?id=sun", &["day.png", "text"], 400, "input"),
        ("/v1/face/verify?id=sun", &["day.png"], 404, "not-found"),
        ("/v1/filter", &["day.png"], 400, "usage"),
        ("/v1/filter?kernel=sharp", &["day.png"], 400, "usage"),
        ("/v1/filter?kernel=mean", &["day.png", "day.png"], 400, "usage"),
        ("/v1/filter?kernel=mean", &["text"], 400, "input"),
        ("/v1/nothing", &["day.png"], 404, "not-found"),
        ("/v1/models", &["day.png"], 405, "method"),
    ] {
        let (got, failure) = gateway.post(path, files);
        assert_eq!((got, &failure["kind"]), (status, &json!(kind)), "{path} {failure}");
        let keys: Vec<&String> = failure.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["error", "kind"], "{path}");
    }
    let (status, head, _) = gateway.raw("PUT /v1/face", "", b"");
    assert!(status == 405 && head.contains("allow: get"), "{head}");

    let (status, head, png) = gateway.send("/v1/filter?kernel=0,0,0,0,0.5,0,0,0,0", &["day.png"]);
    assert!(status == 200 && head.contains("content-type: image/png"), "{head}");
    let half = image::load_from_memory(&png).unwrap().into_luma8();
    assert!(half.dimensions() == (20, 16) && half.pixels().all(|pixel| pixel[0] == 120));

    // Faces: enrolled, found, confirmed, removed.
    let (status, answer) = gateway.post("/v1/face/enrol?id=the%20moon", &["night.png", "evening.png"]);
    assert_eq!((status, &answer["id"], &answer["pictures"]), (200, &json!("the moon"), &json!(2)));
    assert_eq!(gateway.post("/v1/face/enrol?id=the%20moon", &["day.png"]).0, 400, "taken");
    let list = json!({ "command": "face list", "model": "face-match", "persons": ["the moon"], "lost": [] });
    assert_eq!(gateway.json("GET /v1/face"), (200, list));
    let (status, answer) = gateway.post("/v1/face/match", &["evening.png", "day.png"]);
    assert_eq!((status, labels(&answer)), (200, vec!["the moon", "nobody"]));
    let (status, answer) = gateway.post("/v1/face/verify?id=the+moon", &["evening.png", "day.png"]);
    assert_eq!((status, labels(&answer)), (200, vec!["same", "different"]));
    let (status, answer) = gateway.json("DELETE /v1/face/the%20moon");
    assert_eq!((status, &answer["id"]), (200, &json!("the moon")));
    assert_eq!(gateway.json("DELETE /v1/face/the%20moon").0, 404);

    // The route of SIFIS-Home.
    let path = "/speaker_verification/a.wav/b%20c.wav/me/NSSD/7";
    let (status, answer) = gateway.post(path, &["evening.png", "night.png"]);
    let topic = &answer["RequestPostTopicUUID"];
    assert_eq!((status, &topic["topic_uuid"]), (200, &json!("Speaker_Verification_Results")), "{answer}");
    assert_eq!(topic["topic_name"], json!("SIFIS:Privacy_Aware_Speaker_Verification_Results"));
    let value = &topic["value"];
    assert_eq!((&value["Result"], &value["connected"]), (&json!("Same Speaker"), &json!(true)));
    assert!((value["Cosine Similarity"].as_f64().unwrap() - 1.0).abs() < 1e-3, "{value}");
    assert_eq!([&value["first_audio_file"], &value["second_audio_file"]], ["a.wav", "b c.wav"]);
    assert_eq!([&value["requestor_id"], &value["requestor_type"], &value["request_id"]], ["me", "NSSD", "7"]);
    assert!(value["analyzer_id"].is_string() && value["analysis_id"].is_string() && value["description"].is_string());
    let (_, answer) = gateway.post(&format!("{path}?model=face-match"), &["day.png", "night.png"]);
    let value = &answer["RequestPostTopicUUID"]["value"];
    assert_eq!((&value["Cosine Similarity"], &value["Result"]), (&Value::Null, &json!("Different Speaker")));
    assert_eq!(gateway.post(path, &["day.png"]).0, 400);
    assert_eq!(gateway.json(&format!("POST {path}")).0, 415);

    let (status, head, page) = gateway.raw("GET /", "", b"");
    let (_, nonce) = head.split_once("script-src 'nonce-").expect("a policy");
    assert!(
        status == 200 && String::from_utf8(page).unwrap().contains(&format!("<script nonce=\"{}\">", &nonce[..32]))
    );
    assert_eq!(gateway.json("GET /openapi.json").1["openapi"], json!("3.1.0"));
    let (status, head, metrics) = gateway.raw("GET /metrics", "", b"");
    let metrics = String::from_utf8(metrics).unwrap();
    assert!(status == 200 && head.contains("openmetrics"), "{head}");
    let counted = "mpc_gateway_requests_total{route=\"/v1/face/{id}\",status=\"404\"} 1";
    assert!(metrics.contains(counted) && metrics.ends_with("# EOF\n"), "{metrics}");
    assert!(!metrics.contains("moon"), "a label says nothing of a person");
}

#[test]
fn an_answer_in_the_words_of_sifis_home_is_published() {
    let runtime = runtime();
    let _context = runtime.enter();
    // Nobody listens yet, and the bound port keeps others away.
    let receiver = TcpSocket::new_v4().unwrap();
    receiver.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("ws://{}/topics", receiver.local_addr().unwrap());
    let verifier = |models: &Path| drop(comparing_model(models, "speaker-verify", "scores"));
    let gateway = Gateway::start(verifier, &["--publish", &url]);
    let ask =
        |request: &str, files| gateway.post(&format!("/speaker_verification/a.wav/b.wav/me/NSSD/{request}"), files);
    let (status, first) = ask("1", &["evening.png", "night.png"]);
    assert_eq!((status, gateway.post("/v1/speaker/verify", &["day.png", "night.png"]).0), (200, 200), "{first}");
    let (status, second) = ask("2", &["day.png", "night.png"]);
    assert_eq!((status, ask("3", &["day.png"]).0), (200, 400), "{second}");

    let receiver = receiver.listen(1).unwrap();
    let accept = async || accept_async(receiver.accept().await.unwrap().0).await.unwrap();
    let mut socket = runtime.block_on(within(accept()));
    for answer in [&first, &second] {
        let Message::Text(text) = runtime.block_on(receive(&mut socket)).unwrap() else { panic!("not a text") };
        assert_eq!(&serde_json::from_str::<Value>(&text).unwrap(), answer);
    }
    let (_, _, metrics) = gateway.raw("GET /metrics", "", b"");
    let metrics = String::from_utf8(metrics).unwrap();
    assert!(metrics.contains("mpc_gateway_published_total{outcome=\"sent\"} 2"), "{metrics}");

    // The gateway ignores the receiver's messages, but answers its pings and its close.
    runtime.block_on(async {
        socket.send(Message::text("hello")).await.unwrap();
        socket.send(Message::Ping("still there?".into())).await.unwrap();
        assert_eq!(receive(&mut socket).await, Some(Message::Pong("still there?".into())));
        socket.close(None).await.unwrap();
        while receive(&mut socket).await.is_some() {}
    });
    let (_, third) = ask("4", &["day.png", "day.png"]);
    let mut socket = runtime.block_on(within(accept()));
    let published = runtime.block_on(receive(&mut socket)).unwrap().into_text().unwrap();
    assert_eq!(serde_json::from_str::<Value>(&published).unwrap(), third);

    stop(&gateway.program);
    assert!(matches!(runtime.block_on(receive(&mut socket)), Some(Message::Close(_))), "it says good-bye");
}

#[test]
fn strangers_and_too_much_are_refused() {
    let face = |models: &Path| drop(brightness_model(models, "face", ["dark", "bright"]));
    let gateway = Gateway::start(face, &["--token-file", "tokens", "--max-mib", "1", "--concurrent", "1"]);
    let token = format!("Authorization: Bearer {TOKEN}\r\n");
    for path in ["/v1/models", "/v1/face", "/metrics"] {
        let (status, head, body) = gateway.raw(&format!("GET {path}"), "", b"");
        assert!(status == 401 && head.contains("www-authenticate: bearer"), "{head}");
        assert!(!String::from_utf8(body).unwrap().contains(TOKEN));
        let wrong = token.replace("Bearer 0", "Bearer 1");
        assert_eq!(gateway.raw(&format!("GET {path}"), &wrong, b"").0, 401);
    }
    assert_eq!(gateway.post("/v1/classify", &["day.png"]).0, 401);
    assert_eq!(gateway.raw("GET /v1/models", &token, b"").0, 200);
    for path in ["/", "/healthz", "/openapi.json"] {
        assert_eq!(gateway.raw(&format!("GET {path}"), "", b"").0, 200, "{path}");
    }
    let foreign = format!("{token}Origin: http://evil.example\r\n");
    assert_eq!(gateway.raw("GET /v1/models", &foreign, b"").0, 403);
    let own = format!("{token}Origin: http://{}\r\n", gateway.address);
    assert_eq!(gateway.raw("GET /v1/models", &own, b"").0, 200);

    let large = format!("{token}{MULTIPART}Content-Length: {}\r\n", (1 << 20) + 1);
    assert_eq!(object(gateway.raw("POST /v1/classify", &large, b"")).1["kind"], json!("too-large"));
    let text = format!("{token}Content-Type: text/plain\r\nContent-Length: 2\r\n");
    assert_eq!(gateway.raw("POST /v1/classify", &text, b"hi").0, 415);
    let broken = format!("{token}{MULTIPART}Content-Length: 7\r\n");
    assert_eq!(gateway.raw("POST /v1/classify", &broken, b"--limit").0, 400);

    // A request has the only place once the gateway wants its body.
    let body = gateway.multipart(&["day.png"]);
    let head = format!(
        "POST /v1/classify HTTP/1.1\r\nHost: {}\r\n{token}{MULTIPART}Expect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        gateway.address,
        body.len()
    );
    let mut slow = gateway.connect();
    slow.write_all(head.as_bytes()).unwrap();
    let mut go_on = [0; 25];
    slow.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    let (status, head, _) = gateway.raw("GET /v1/models", &token, b"");
    assert!(status == 503 && head.contains("retry-after"), "{head}");
    assert_eq!(gateway.raw("GET /metrics", &token, b"").0, 200);
    slow.write_all(&body).unwrap();
    let (status, answer) = object(response(slow));
    assert_eq!((status, labels(&answer)), (200, vec!["bright"]));
    assert_eq!(gateway.raw("GET /v1/models", &token, b"").0, 200);
}

#[test]
fn a_lost_server_is_found_again() {
    let face = |models: &Path| drop(brightness_model(models, "face", ["dark", "bright"]));
    let mut gateway = Gateway::start(face, &["--timeout", "20"]);
    assert_eq!(gateway.post("/v1/classify", &["day.png"]).0, 200);
    gateway.parties.kill(Role::P1);
    let (status, failure) = gateway.json("GET /healthz");
    assert!(status == 503 && failure["kind"].is_string(), "{failure}");
    gateway.parties.restart(Role::P1).unwrap();
    runtime().block_on(async { gateway.parties.connect().await.unwrap().close().await });
    let start = Instant::now();
    while gateway.json("GET /healthz").0 != 200 {
        assert!(start.elapsed() < DEADLINE, "the gateway does not come back");
    }
    let (status, answer) = gateway.post("/v1/classify", &["day.png"]);
    assert_eq!((status, labels(&answer)), (200, vec!["bright"]), "{answer}");
}

#[test]
fn it_starts_its_own_servers_and_says_why_it_does_not_start() {
    let dir = tempdir().unwrap();
    let dir = dir.path();
    for (arguments, reason) in [
        (&["--listen", "0.0.0.0:0"][..], "--token-file"),
        (&["--token-file", "missing"], "missing"),
        (&["--cluster", "missing.toml"], "missing.toml"),
        (&["--csv"], "--csv"),
        (&["--publish", "http://127.0.0.1:1"], "ws://HOST:PORT/PATH"),
        (&["--publish", "ws:///topics"], "ws://HOST:PORT/PATH"),
        (&["--publish", "ws://me:secret@127.0.0.1:1"], "password"),
        (&["--publish", "wss://127.0.0.1:1"], "proxy"),
    ] {
        let (_, err, code) = run(client(dir).arg("gateway").args(arguments));
        assert!(code == 2 && err.contains(reason), "{err}");
    }
    brightness_model(&dir.join("models"), "face", ["dark", "bright"]);
    let (mut program, address) = serve(dir, &["--local", "--listen", "[::1]:0"]);
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(format!("GET /v1/models HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).unwrap();
    let (status, models) = object(response(stream));
    assert_eq!((status, &models["models"][0]["name"]), (200, &json!("face")));

    stop(&program);
    assert!(program.0.wait().unwrap().success(), "asked to end, it ends in order");
}
