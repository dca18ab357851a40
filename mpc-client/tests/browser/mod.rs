//! Headless Chromium, controlled over its DevTools protocol.

use std::io::{BufRead, BufReader, ErrorKind};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::served::{DEADLINE, Running};

/// Possible names of the browser.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// A browser that shows one page.
pub(crate) struct Browser {
    runtime: Runtime,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    session: Option<Value>,
    calls: u64,
    program: Running,
    /// Receives the address that it listens on; disconnected once all of its processes have ended.
    told: Receiver<String>,
    _profile: TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.program.0.kill());
        // Wait until nobody writes to the profile.
        drop(self.told.recv_timeout(DEADLINE));
    }
}

impl Browser {
    /// Opens a page of `address` in a browser whose microphone hears the recording `voice` in a loop; `None` without a
    /// browser on this machine.
    pub(crate) fn open(address: SocketAddr, voice: &Path) -> Option<Self> {
        let profile = tempdir().expect("a folder");
        let mut program = Running(NAMES.iter().find_map(|name| start(name, profile.path(), voice))?);
        let told = devtools(&mut program.0);
        let url = told.recv_timeout(DEADLINE).expect("a browser that listens");
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let connected = runtime.block_on(async { timeout(DEADLINE, connect_async(url)).await });
        let (socket, _) = connected.expect("in time").expect("a connection");
        let mut browser = Self { runtime, socket, session: None, calls: 0, program, told, _profile: profile };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }))["targetId"].take();
        let attached = browser.call("Target.attachToTarget", json!({ "targetId": target, "flatten": true }));
        browser.session = Some(attached["sessionId"].clone());
        browser.call("Page.navigate", json!({ "url": format!("http://{address}/") }));
        browser.run("document.readyState === 'complete' || new Promise(done => addEventListener('load', done))");
        Some(browser)
    }

    /// The value of a script, or of its promise.
    pub(crate) fn run(&mut self, script: &str) -> Value {
        self.evaluate(script, true)["value"].take()
    }

    /// Chooses a file in an `<input type="file">`.
    pub(crate) fn choose(&mut self, input: &str, file: &Path) {
        let object = self.evaluate(&format!("document.querySelector({input:?})"), false);
        self.call("DOM.setFileInputFiles", json!({ "files": [whole(file)], "objectId": object["objectId"] }));
    }

    /// Drops a file on an element.
    pub(crate) fn drop_on(&mut self, element: &str, file: &Path) {
        let area = self.run(&format!("document.querySelector({element:?}).getBoundingClientRect().toJSON()"));
        let middle = |start: &str, size: &str| Some(area[start].as_f64()? + area[size].as_f64()? / 2.0);
        let (x, y) = (middle("x", "width"), middle("y", "height"));
        for kind in ["dragEnter", "dragOver", "drop"] {
            let data = json!({ "items": [], "files": [whole(file)], "dragOperationsMask": 1 });
            self.call("Input.dispatchDragEvent", json!({ "type": kind, "x": x, "y": y, "data": data }));
        }
    }

    fn evaluate(&mut self, script: &str, by_value: bool) -> Value {
        let parameters =
            json!({ "expression": script, "awaitPromise": true, "returnByValue": by_value, "userGesture": true });
        let mut evaluated = self.call("Runtime.evaluate", parameters);
        assert!(evaluated["exceptionDetails"].is_null(), "{script}: {evaluated}");
        evaluated["result"].take()
    }

    /// Calls a method of the DevTools protocol.
    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.calls += 1;
        let mut call = json!({ "id": self.calls, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            call["sessionId"] = session.clone();
        }
        let answer = async {
            self.socket.send(Message::text(call.to_string())).await.expect("a connection");
            // Skip events in between.
            loop {
                let message = self.socket.next().await.expect("an answer").expect("a connection");
                let mut object: Value = serde_json::from_slice(&message.into_data()).expect("JSON");
                if object["id"] == json!(self.calls) {
                    assert!(object["error"].is_null(), "{method}: {object}");
                    return object["result"].take();
                }
            }
        };
        self.runtime.block_on(async { timeout(DEADLINE, answer).await }).expect("in time")
    }
}

/// Starts a browser, if it is installed.
fn start(name: &str, profile: &Path, voice: &Path) -> Option<Child> {
    let mut command = Command::new(name);
    // As root the browser has no sandbox; it shows only pages of this project.
    command.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]);
    command.args(["--remote-debugging-port=0", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]);
    command.arg(format!("--use-file-for-fake-audio-capture={}", whole(voice).display()));
    command.arg(format!("--user-data-dir={}", profile.display()));
    match command.env("TMPDIR", profile).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn() {
        Ok(program) => Some(program),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => panic!("{name}: {error}"),
    }
}

/// The path without `..`, as the browser needs it.
fn whole(path: &Path) -> PathBuf {
    path.canonicalize().expect("a file")
}

/// The address that the browser listens on, from its standard error.
fn devtools(program: &mut Child) -> Receiver<String> {
    let stderr = BufReader::new(program.stderr.take().expect("a pipe"));
    let (tell, told) = channel();
    // Read to the end, so that the browser never waits for a reader.
    std::thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            if let Some(url) = line.strip_prefix("DevTools listening on ") {
                drop(tell.send(url.to_owned()));
            }
        }
    });
    told
}
