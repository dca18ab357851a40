//! Publishes answers to a WebSocket, independently of the HTTP response.

use std::io;
use std::str::FromStr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hyper::Uri;
use prometheus_client::metrics::counter::Counter;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::metrics::Metrics;

/// Maximum number of answers that wait for the WebSocket; further ones are not published.
const WAITING: usize = 64;

/// Time limit for each of connecting, sending an answer and closing.
const DEADLINE: Duration = Duration::from_secs(5);

/// Pause after the first failure; doubles after each further one, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Largest message of the receiver in bytes. Messages are read and ignored; reading them answers pings.
const LARGEST: usize = 1 << 20;

/// The address of a WebSocket: `ws://HOST:PORT/PATH`, without a user's name.
#[derive(Debug, Clone)]
pub struct Url(Uri);

impl FromStr for Url {
    /// What to write instead, on one line.
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url: Uri = text.parse().map_err(|e| format!("{e}; give ws://HOST:PORT/PATH"))?;
        let authority = url.authority().filter(|authority| !authority.host().is_empty());
        match (url.scheme_str(), authority) {
            (Some("wss"), _) => {
                Err("TLS is not supported: give the ws:// address of a proxy on this machine that adds it".into())
            }
            (Some("ws"), Some(authority)) if !authority.as_str().contains('@') => Ok(Self(url)),
            (Some("ws"), Some(_)) => Err("user names and passwords are not supported: leave them out".into()),
            _ => Err("not of the form ws://HOST:PORT/PATH".into()),
        }
    }
}

/// Accepts answers without waiting.
pub(crate) struct Publisher {
    queue: Sender<String>,
    dropped: Counter,
    warn: fn(&str),
}

/// Delivers answers to the WebSocket.
pub(crate) struct Delivery {
    url: Uri,
    queue: Receiver<String>,
    /// The answer taken from the queue but not sent yet.
    next: Option<String>,
    pause: Duration,
    sent: Counter,
    warn: fn(&str),
}

/// Both ends of a queue of answers for the WebSocket at `url`.
pub(crate) fn to(url: Url, metrics: &Metrics, warn: fn(&str)) -> (Publisher, Delivery) {
    let (sender, receiver) = channel(WAITING);
    let publisher = Publisher { queue: sender, dropped: metrics.published("dropped"), warn };
    let sent = metrics.published("sent");
    (publisher, Delivery { url: url.0, queue: receiver, next: None, pause: FIRST_PAUSE, sent, warn })
}

impl Publisher {
    /// Queues an answer; if the queue is full, counts it as dropped and warns.
    pub(crate) fn publish(&self, answer: &Value) {
        if self.queue.try_send(answer.to_string()).is_err() {
            self.dropped.inc();
            (self.warn)(&format!("an answer was not published: {WAITING} others still wait for the WebSocket"));
        }
    }
}

impl Delivery {
    /// Sends queued answers, each as one text message, until the publisher is gone and the queue is empty.
    pub(crate) async fn run(mut self) {
        while self.wait().await {
            if let Err(error) = self.converse().await {
                // The rest of the URL may hold a password.
                let receiver = self.url.authority().map_or("", |authority| authority.as_str());
                (self.warn)(&format!("cannot publish to {receiver}: {error}; trying again in {:?}", self.pause));
                sleep(self.pause).await;
                self.pause = LONGEST_PAUSE.min(2 * self.pause);
            }
        }
    }

    /// Waits for an answer to send; returns whether one will come.
    async fn wait(&mut self) -> bool {
        if self.next.is_none() {
            self.next = self.queue.recv().await;
        }
        self.next.is_some()
    }

    /// Connects and sends answers as they come, until the receiver or the gateway ends the conversation.
    async fn converse(&mut self) -> Result<(), Error> {
        let limits = WebSocketConfig::default().max_message_size(Some(LARGEST)).max_frame_size(Some(LARGEST));
        let connected = timeout(DEADLINE, connect_async_with_config(&self.url, Some(limits), true)).await;
        let (mut socket, _) = connected.map_err(io::Error::from)??;
        while let Some(answer) = &self.next {
            timeout(DEADLINE, socket.send(Message::text(answer))).await.map_err(io::Error::from)??;
            self.sent.inc();
            self.next = None;
            self.pause = FIRST_PAUSE;
            tokio::select! {
                _ = self.wait() => {}
                ended = ignore(&mut socket) => return ended,
            }
        }
        let good_bye = async {
            socket.close(None).await?;
            ignore(&mut socket).await
        };
        // Everything was sent, so either side may close first.
        drop(timeout(DEADLINE, good_bye).await);
        Ok(())
    }
}

/// Reads until the receiver closes, and answers that.
async fn ignore(socket: &mut WebSocketStream<MaybeTlsStream<TcpStream>>) -> Result<(), Error> {
    while let Some(message) = socket.next().await {
        if let Message::Close(_) = message? {
            drop(timeout(DEADLINE, socket.flush()).await);
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_drops_what_comes_last() {
        let metrics = Metrics::new();
        let (publisher, mut delivery) = to("ws://localhost".parse().unwrap(), &metrics, |_| ());
        (0..WAITING + 2).for_each(|i| publisher.publish(&i.into()));
        assert_eq!(metrics.published("dropped").get(), 2);
        let queued: Vec<String> = std::iter::from_fn(|| delivery.queue.try_recv().ok()).collect();
        assert_eq!((queued.len(), queued[WAITING - 1].as_str()), (WAITING, "63"));
    }
}
