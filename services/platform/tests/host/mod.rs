//! A host on loopback that plays what a test asks for, and remembers who connected and what was asked.

#![allow(dead_code, reason = "each test program uses its own part")]

use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use platform::connector::{Connector, Policy};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

#[derive(Clone)]
pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Host {
    /// Plays `behave` on every connection.
    pub(crate) async fn start<F, R>(behave: F) -> Self
    where
        F: Fn(TcpStream, Self) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = Self {
            address: listener.local_addr().unwrap(),
            connections: Arc::default(),
            requests: Arc::default(),
        };
        let playing = host.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                playing.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(behave(stream, playing.clone()));
            }
        });
        host
    }

    /// Gives the same answer to every request, on connections that stay open.
    pub(crate) async fn answering(answer: impl Into<String>) -> Self {
        let answer = answer.into();
        Self::start(move |mut stream, host| {
            let answer = answer.clone();
            async move {
                while host.hear(&mut stream).await {
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            }
        })
        .await
    }

    /// Reads one request with its body; false when the other side has gone.
    pub(crate) async fn hear(&self, stream: &mut (impl AsyncRead + Unpin)) -> bool {
        let mut bytes = Vec::new();
        while !whole(&bytes) {
            match stream.read_buf(&mut bytes).await {
                Ok(0) | Err(_) => return false,
                Ok(_) => {}
            }
        }
        let text = String::from_utf8(bytes).unwrap();
        self.requests.lock().unwrap().push(text);
        true
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// A port on which nobody listens (any more).
    pub(crate) async fn address_of_a_closed_port(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    }
}

fn whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.parse::<usize>().unwrap())
    });
    body.len() >= length.unwrap_or(0)
}

/// A connector for which every name under `.test` is this host.
pub(crate) fn mapped(host: &Host, mut policy: Policy) -> Connector {
    policy.map.insert("*.test", host.address).unwrap();
    Connector::new(policy)
}

pub(crate) fn url(text: &str) -> Url {
    text.parse().unwrap()
}
