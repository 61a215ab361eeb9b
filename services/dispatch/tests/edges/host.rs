//! A host on loopback that answers HTTP as a test asks for, and remembers what it was asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) method: String,
    pub(crate) path: String,
    head: String,
    pub(crate) body: String,
}

impl Heard {
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

/// What the host does with a request.
pub(crate) enum Reply {
    /// Sent as it is.
    Say(String),
    /// Sent once the test says so.
    After(Arc<Notify>, String),
    /// Nothing, for ever.
    Hang,
}

pub(crate) fn line(status: u16) -> String {
    format!("HTTP/1.1 {status} Because\r\nContent-Length: 0\r\n\r\n")
}

pub(crate) fn status(status: u16) -> Reply {
    Reply::Say(line(status))
}

type Behaviour = Box<dyn FnMut(&Heard) -> Reply + Send>;

#[derive(Clone)]
pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
    behaviour: Arc<Mutex<Behaviour>>,
}

impl Host {
    pub(crate) async fn start(behave: impl FnMut(&Heard) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = Self {
            address: listener.local_addr().unwrap(),
            heard: Arc::default(),
            behaviour: Arc::new(Mutex::new(Box::new(behave))),
        };
        let serving = host.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        host
    }

    /// Answers every request with this status.
    pub(crate) async fn answering(code: u16) -> Self {
        Self::start(move |_| status(code)).await
    }

    pub(crate) fn behave(&self, behave: impl FnMut(&Heard) -> Reply + Send + 'static) {
        *self.behaviour.lock().unwrap() = Box::new(behave);
    }

    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    async fn serve(self, mut stream: TcpStream) {
        while let Some(heard) = read(&mut stream).await {
            let reply = (self.behaviour.lock().unwrap())(&heard);
            self.heard.lock().unwrap().push(heard);
            let text = match reply {
                Reply::Say(text) => text,
                Reply::After(word, text) => {
                    word.notified().await;
                    text
                }
                Reply::Hang => std::future::pending().await,
            };
            if stream.write_all(text.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Heard> {
    let mut bytes = Vec::new();
    loop {
        if let Some(heard) = parse(&bytes) {
            return Some(heard);
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn parse(bytes: &[u8]) -> Option<Heard> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.parse::<usize>().unwrap())
    });
    let mut first = head.lines().next()?.split(' ');
    (body.len() >= length.unwrap_or(0)).then(|| Heard {
        method: first.next().unwrap().to_owned(),
        path: first.next().unwrap().to_owned(),
        head: head.to_owned(),
        body: body.to_owned(),
    })
}
