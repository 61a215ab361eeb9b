//! An HTTP host on loopback that responds as a test requires, and records the requests that it receives.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// A request as it was received.
#[derive(Clone, Debug)]
pub(crate) struct ReceivedRequest {
    pub(crate) method: String,
    pub(crate) path: String,
    head: String,
    pub(crate) body: String,
}

impl ReceivedRequest {
    pub(crate) fn header(&self, name: &str) -> String {
        let found = self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then(|| value.to_owned())
        });
        found.unwrap_or_else(|| panic!("no header {name}"))
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// How the host responds to a request.
pub(crate) enum HostReply {
    /// Sends this response.
    Send(String),
    /// Sends this response after the test has notified.
    SendAfter(Arc<Notify>, String),
    /// Never responds.
    Hang,
}

pub(crate) fn status_line(status: u16) -> String {
    format!("HTTP/1.1 {status} Because\r\nContent-Length: 0\r\n\r\n")
}

pub(crate) fn status(status: u16) -> HostReply {
    HostReply::Send(status_line(status))
}

type Responder = Box<dyn FnMut(&ReceivedRequest) -> HostReply + Send>;

#[derive(Clone)]
pub(crate) struct TestHost {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<ReceivedRequest>>>,
    responder: Arc<Mutex<Responder>>,
}

impl TestHost {
    pub(crate) async fn start(
        respond_with: impl FnMut(&ReceivedRequest) -> HostReply + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = Self {
            address: listener.local_addr().unwrap(),
            requests: Arc::default(),
            responder: Arc::new(Mutex::new(Box::new(respond_with))),
        };
        let serving = host.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        host
    }

    /// Starts a host that responds to every request with this status.
    pub(crate) async fn with_status(code: u16) -> Self {
        Self::start(move |_| status(code)).await
    }

    pub(crate) fn respond_with(
        &self,
        respond_with: impl FnMut(&ReceivedRequest) -> HostReply + Send + 'static,
    ) {
        *self.responder.lock().unwrap() = Box::new(respond_with);
    }

    pub(crate) fn requests(&self) -> Vec<ReceivedRequest> {
        self.requests.lock().unwrap().clone()
    }

    async fn serve(self, mut stream: TcpStream) {
        while let Some(request) = read(&mut stream).await {
            let reply = (self.responder.lock().unwrap())(&request);
            self.requests.lock().unwrap().push(request);
            let text = match reply {
                HostReply::Send(text) => text,
                HostReply::SendAfter(release, text) => {
                    release.notified().await;
                    text
                }
                HostReply::Hang => std::future::pending().await,
            };
            if stream.write_all(text.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<ReceivedRequest> {
    let mut bytes = Vec::new();
    loop {
        if let Some(request) = parse(&bytes) {
            return Some(request);
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn parse(bytes: &[u8]) -> Option<ReceivedRequest> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.parse::<usize>().unwrap())
    });
    let mut first = head.lines().next()?.split(' ');
    (body.len() >= length.unwrap_or(0)).then(|| ReceivedRequest {
        method: first.next().unwrap().to_owned(),
        path: first.next().unwrap().to_owned(),
        head: head.to_owned(),
        body: body.to_owned(),
    })
}
