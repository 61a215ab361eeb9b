//! A TCP server on loopback with the behaviour that a test defines. It records connections and requests.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use platform::connector::{Connector, Policy};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

#[derive(Clone)]
pub(crate) struct TestHost {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl TestHost {
    /// Runs `handle` on every connection.
    pub(crate) async fn start<F, R>(handle: F) -> Self
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
        let server = host.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                server.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(handle(stream, server.clone()));
            }
        });
        host
    }

    /// Sends the same response to every request, on connections that stay open.
    pub(crate) async fn responding(response: impl Into<String>) -> Self {
        let response = response.into();
        Self::start(move |mut stream, host| {
            let response = response.clone();
            async move {
                while host.read_request(&mut stream).await {
                    if stream.write_all(response.as_bytes()).await.is_err() {
                        return;
                    }
                }
            }
        })
        .await
    }

    /// Reads one request with its body; returns false if the client has disconnected.
    pub(crate) async fn read_request(&self, stream: &mut (impl AsyncRead + Unpin)) -> bool {
        let mut bytes = Vec::new();
        while !is_complete(&bytes) {
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

    /// An address on which no process listens.
    pub(crate) async fn unused_address(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    }
}

fn is_complete(bytes: &[u8]) -> bool {
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

/// A connector that maps every name under `.test` to this host.
pub(crate) fn mapped(host: &TestHost, mut policy: Policy) -> Connector {
    policy.map.insert("*.test", host.address).unwrap();
    Connector::new(policy)
}

pub(crate) fn url(text: &str) -> Url {
    text.parse().unwrap()
}
