//! The first day of a host that has nothing but an abuse mailbox: through its mail server, its mail scanner, the link in the
//! mail, and the hotline's mail door. Each test is one day of the whole system, with a clock that it moves.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use dispatch::channels::MailSettings;
use domain::word::{DeliveryChannel, NoticeState, ProviderRole};
use lettre::address::Envelope;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use mail_parser::{Message, MessageParser, MimeHeaders as _};
use platform::clock::{Clock, ManualClock, wall};
use platform::connector::ConnectorMap;
use platform::smtp::{self, Limits, Mail, Mailroom, Peer, Reply};
use proto::v1::{
    GetAssessmentRequest, NoticeSummary, Provider, PutProvidersRequest, SearchNoticesRequest,
};
use reqwest::{Client, Method, StatusCode};
use takedown::system::{DEMO_POLICY, Options, System, policy};
use tests::desk;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

const RETURNS: &str = "returns.hotline.example";

/// The mail server of everybody on this street: it takes what comes and keeps it.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<Vec<Letter>>>);

/// One mail, as it arrived.
#[derive(Clone)]
struct Letter {
    /// The envelope's sender.
    from: String,
    to: String,
    bytes: Vec<u8>,
}

impl Mailroom for Server {
    type Recipient = String;

    async fn recipient(&self, _: Peer, address: &str) -> Result<String, Reply> {
        Ok(address.to_owned())
    }

    async fn take(&self, mail: Mail<String>) -> Reply {
        let letters = mail.recipients.into_iter().map(|to| Letter {
            from: mail.sender.clone().unwrap_or_default(),
            to,
            bytes: mail.bytes.clone(),
        });
        self.0.lock().unwrap().extend(letters);
        Reply::Say("250 2.0.0 taken")
    }
}

impl Letter {
    fn read(&self) -> Message<'_> {
        MessageParser::default().parse(&self.bytes).unwrap()
    }

    fn text(&self) -> String {
        self.read().body_text(0).unwrap().into_owned()
    }

    /// Behind `Answer:`, as a person would copy it.
    fn link(&self) -> String {
        let text = self.text();
        let line = text.lines().find_map(|line| line.strip_prefix("Answer:"));
        line.unwrap().trim().to_owned()
    }

    fn replies_to(&self) -> Vec<String> {
        let mail = self.read();
        let replies = mail.reply_to().unwrap().iter();
        replies.map(|to| to.address().unwrap().to_owned()).collect()
    }
}

struct Day {
    system: System,
    clock: ManualClock,
    server: Server,
    http: Client,
    _end: tokio_util::sync::DropGuard,
    _folder: tempfile::TempDir,
    _database: platform::testing::TestDatabase,
}

impl Day {
    async fn begin() -> Result<Self> {
        let database = platform::testing::TestDatabase::new(&[]).await;
        let folder = tempfile::tempdir()?;
        let (server, end) = (Server::default(), CancellationToken::new());
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let at = listener.local_addr()?;
        let settings = smtp::Settings {
            name: "mx.test".into(),
            limits: Limits {
                connections: 16,
                recipients: 1,
                size: 1 << 20,
                patience: Duration::from_mins(1),
                session: Duration::from_mins(10),
            },
            tls: None,
        };
        tokio::spawn(smtp::serve(listener, server.clone(), settings, end.clone()));

        let clock = ManualClock::new(wall());
        let mut options = Options::new(folder.path().join("data"));
        options.database_url = Some(database.url().into());
        options.clock = Clock::Manual(clock.clone());
        options.policy = policy(DEMO_POLICY)?;
        options.connector.map = ConnectorMap::default();
        // Nobody serves there: whether a page is up is no part of this day.
        options
            .connector
            .map
            .insert("*.example", "127.0.0.1:1".parse()?)?;
        options.settings.dispatch.resolve_names = false;
        options.settings.dispatch.mail = Some(MailSettings {
            host: at.ip().to_string(),
            port: at.port(),
            return_domain: Some(RETURNS.into()),
            ..MailSettings::default()
        });
        let system = System::start(options, &|line| eprintln!("{line}")).await?;
        let day = Self {
            system,
            clock,
            server,
            http: Client::builder().timeout(Duration::from_secs(20)).build()?,
            _end: end.drop_guard(),
            _folder: folder,
            _database: database,
        };
        day.put_hosts().await?;
        Ok(day)
    }

    /// `kite` and `reed` have a mailbox and nothing else, and `larch` above them; so has `larch`.
    async fn put_hosts(&self) -> Result<()> {
        let provider = |name: &str, role: ProviderRole| Provider {
            provider_id: name.to_owned(),
            role: role.wire(),
            channel: DeliveryChannel::Email.wire(),
            domains: vec![format!("{name}.example")],
            abuse_contact: format!("abuse@{name}.example"),
            upstream: if name == "larch" { "" } else { "larch" }.to_owned(),
            ..Provider::default()
        };
        let providers = vec![
            provider("kite", ProviderRole::Host),
            provider("reed", ProviderRole::Host),
            provider("larch", ProviderRole::Upstream),
        ];
        let request = PutProvidersRequest { providers };
        let put = self
            .system
            .client()
            .dispatch()
            .put_providers(request)
            .await?;
        ensure!(put.get_ref().problems.is_empty());
        Ok(())
    }

    /// Waits for the mail with this number to a mailbox, from 0.
    async fn letter(&self, to: &str, n: usize) -> Result<Letter> {
        let to = format!("abuse@{to}.example");
        let found = || {
            let letters = self.server.0.lock().unwrap();
            letters
                .iter()
                .filter(|letter| letter.to == to)
                .nth(n)
                .cloned()
        };
        desk::until(&format!("mail {n} to {to}"), async || Ok(found().is_some())).await?;
        found().context("it was there")
    }

    async fn notices(&self, case_id: &str) -> Result<Vec<NoticeSummary>> {
        let request = SearchNoticesRequest {
            case_id: case_id.to_owned(),
            ..SearchNoticesRequest::default()
        };
        let found = self
            .system
            .client()
            .dispatch()
            .search_notices(request)
            .await?;
        Ok(found.into_inner().notices)
    }

    /// Waits until this provider's first notice of a case stands so.
    async fn stands(&self, case_id: &str, provider: &str, state: NoticeState) -> Result<()> {
        desk::until(&format!("{provider} {state}"), async || {
            let notices = self.notices(case_id).await?;
            let first = notices
                .iter()
                .filter(|notice| notice.provider_id == provider)
                .min_by_key(|notice| notice.step);
            Ok(first.is_some_and(|notice| notice.state == state.wire()))
        })
        .await
    }

    /// Sends a mail to the door, as somebody else's mail server; the code of a refusal.
    async fn send(&self, from: Option<&str>, to: &str, mail: &str) -> Result<Result<(), u16>> {
        let door = self.system.mail_door();
        let transport =
            AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(door.ip().to_string())
                .port(door.port())
                .build();
        let from = from.map(str::parse).transpose()?;
        let envelope = Envelope::new(from, vec![to.parse()?])?;
        let sent = transport
            .send_raw(&envelope, mail.replace('\n', "\r\n").as_bytes())
            .await;
        match sent {
            Ok(_) => Ok(Ok(())),
            Err(error) => Ok(Err(error.status().map(u16::from).context("no reply")?)),
        }
    }

    async fn open(&self, method: Method, link: &str) -> Result<(StatusCode, String)> {
        let response = self
            .http
            .request(method, link)
            .header("user-agent", "LinkScanner/1.0 (prefetch)")
            .send()
            .await?;
        Ok((response.status(), response.text().await?))
    }

    async fn end(self) -> Result<()> {
        self.system.stop().await
    }
}

fn bounce(of: &Letter) -> String {
    let host = of.to.split('@').nth(1).unwrap();
    format!(
        "From: Mail Delivery System <MAILER-DAEMON@mx.{host}>
To: <{}>
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=\"b1\"

--b1
Content-Type: text/plain

<{to}>: there is no such mailbox
--b1
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.{host}

Final-Recipient: rfc822; {to}
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 no such user

--b1--
",
        of.from,
        to = of.to,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_is_told_reminded_and_answers_in_one_click() -> Result<()> {
    let day = Day::begin().await?;
    let url = "https://kite.example/album/1.jpg";
    let case_id = desk::act(day.system.client(), url).await?;
    let first = day.letter("kite", 0).await?;
    says_everything_in_its_first_lines(&first, url);
    is_well_formed(&first).await?;

    // A mail scanner opens every link, however often: nothing changes, and the page says what it is.
    day.stands(&case_id, "kite", NoticeState::Delivered).await?;
    let before = day.notices(&case_id).await?;
    for method in [Method::HEAD, Method::GET, Method::GET] {
        let (status, page) = day.open(method.clone(), &first.link()).await?;
        assert_eq!(status, StatusCode::OK);
        if method == Method::GET {
            for part in [
                "asks kite to remove",
                "This page is for kite alone",
                "hxxps://kite[.]example/album/1.jpg",
                "This page has checked it: the hotline signed this notice",
                "Answer with one click",
            ] {
                assert!(page.contains(part), "{part} is not in {page}");
            }
        }
    }
    assert_eq!(day.notices(&case_id).await?, before);

    // Silence brings a reminder, in the same thread.
    day.clock.advance(time::Duration::seconds(6));
    let reminder = day.letter("kite", 1).await?;
    let (first_mail, second) = (first.read(), reminder.read());
    let root = first_mail.message_id().unwrap();
    assert_ne!(second.message_id().unwrap(), root);
    assert_eq!(second.in_reply_to().as_text(), Some(root));
    assert_eq!(second.references().as_text(), Some(root));
    assert_ne!(
        reminder.from, first.from,
        "each comes back to its own address"
    );

    // One click, and the page says so to whoever looks again.
    let answer = day
        .http
        .post(reminder.link())
        .form(&[("answer", "acknowledged")]);
    let answered = answer.send().await?;
    assert_eq!(answered.status(), StatusCode::OK);
    let (_, page) = day.open(Method::GET, &reminder.link()).await?;
    assert!(page.contains("We have received it</dd>"), "{page}");

    // A word of the link is changed on the way, or somebody tries: it is none, and says nothing more.
    let (status, page) = day.open(Method::GET, &format!("{}x", first.link())).await?;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(page.contains("does not lead to a notice") && !page.contains("kite"));

    // Months later the link is over; the page says so, and what helps now.
    day.clock.advance(time::Duration::days(91));
    let (status, page) = day.open(Method::GET, &first.link()).await?;
    assert_eq!(status, StatusCode::GONE);
    assert!(page.contains("This link has expired") && page.contains("You are sent a new link"));
    let late = day.http.post(first.link()).form(&[("answer", "removed")]);
    assert_eq!(late.send().await?.status(), StatusCode::GONE);
    day.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_comes_back_moves_the_chain_and_a_strangers_does_not() -> Result<()> {
    let day = Day::begin().await?;
    let client = day.system.client();
    let case_id = desk::act(client, "https://kite.example/2").await?;
    let first = day.letter("kite", 0).await?;
    day.stands(&case_id, "kite", NoticeState::Delivered).await?;

    // Who does not know the address cannot make one, and the door is nobody's relay.
    let forged = first.from.replacen("b1-", "b1-a", 1);
    for stranger in [
        forged.as_str(),
        "abuse@kite.example",
        "notices@hotline.example",
    ] {
        assert_eq!(day.send(None, stranger, &bounce(&first)).await?, Err(550));
    }
    // Whoever was passed the mail on knows where to answer, and no more.
    let replies = first.replies_to();
    assert_eq!(replies.len(), 2);
    assert_eq!(
        day.send(None, &replies[1], &bounce(&first)).await?,
        Err(550)
    );
    day.stands(&case_id, "kite", NoticeState::Delivered).await?;

    let sent = day.server.0.lock().unwrap().len();
    assert_eq!(day.send(None, &first.from, &bounce(&first)).await?, Ok(()));
    let next = day.letter("larch", 0).await?;
    assert!(next.text().contains("https://kite.example/2"));
    day.stands(&case_id, "kite", NoticeState::Bounced).await?;
    // The same word again changes nothing, and nobody was sent a mail in reply.
    assert_eq!(day.send(None, &first.from, &bounce(&first)).await?, Ok(()));
    assert_eq!(day.server.0.lock().unwrap().len(), sent + 1);
    assert_eq!(day.notices(&case_id).await?.len(), 2);
    day.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machines_answer_is_no_answer_and_a_persons_is_put_before_a_person() -> Result<()> {
    let day = Day::begin().await?;
    let client = day.system.client();
    let case_id = desk::act(client, "https://kite.example/3").await?;
    let first = day.letter("kite", 0).await?;
    day.stands(&case_id, "kite", NoticeState::Delivered).await?;
    let away = format!(
        "From: Abuse <abuse@kite.example>\nTo: <{}>\nSubject: Re: Notice\nAuto-Submitted: auto-replied\n\nThis mailbox is not read.\n",
        first.from
    );
    assert_eq!(day.send(None, &first.from, &away).await?, Ok(()));
    day.clock.advance(time::Duration::seconds(3));
    day.letter("larch", 0).await?;
    // The host that a machine answered for is still asked, and may still answer.
    day.stands(&case_id, "kite", NoticeState::Escalated).await?;
    let answer = day.http.post(first.link()).form(&[("answer", "removed")]);
    assert_eq!(answer.send().await?.status(), StatusCode::OK);
    day.stands(&case_id, "kite", NoticeState::RemovalClaimed)
        .await?;

    let other = desk::act(client, "https://reed.example/4").await?;
    let notice = day.letter("reed", 0).await?;
    day.stands(&other, "reed", NoticeState::Delivered).await?;
    let to = &notice.replies_to()[1];
    let words = "From: Robin <robin@reed.example>\nSubject: Re: Notice\n\nWe took https://reed.example/4 down.\n";
    let sent = day.send(Some("robin@reed.example"), to, words).await?;
    assert_eq!(sent, Ok(()));
    desk::until("a person is asked to read it", async || {
        let request = GetAssessmentRequest {
            case_id: other.clone(),
        };
        let assessed = client.verification().get_assessment(request).await?;
        let assessment = assessed.into_inner().assessment.context("no case")?;
        Ok(assessment.review == "replied")
    })
    .await?;
    day.stands(&other, "reed", NoticeState::Delivered).await?;
    day.end().await
}

fn says_everything_in_its_first_lines(letter: &Letter, url: &str) {
    let text = letter.text();
    let lines: Vec<&str> = text.lines().take(6).collect();
    for (line, begins) in lines.iter().zip([
        "What:    child sexual abuse material, category B",
        &format!("Where:   {url}"),
        "Host:    kite.example, at 127.0.0.1 when looked up at 20",
        "Law:     Demonstration only",
        "Until:   20",
        "Answer:  http://127.0.0.1:",
    ]) {
        assert!(line.starts_with(begins), "{line}: {begins}");
    }
    let mail = letter.read();
    assert!(
        !mail.subject().unwrap().contains("kite"),
        "subjects are shown"
    );
    let report = mail.parts[1].content_type().unwrap();
    assert_eq!(report.attribute("report-type"), Some("feedback-report"));
    let names: Vec<_> = mail
        .attachments()
        .filter_map(|part| part.attachment_name())
        .collect();
    assert_eq!(names, ["xarf.json", "notice.json"]);
}

/// By another program's reading, where Python is there.
async fn is_well_formed(letter: &Letter) -> Result<()> {
    let script = "import email, email.policy, sys
mail = email.message_from_binary_file(sys.stdin.buffer, policy=email.policy.default)
assert not any(part.defects for part in mail.walk()), [part.defects for part in mail.walk()]
print(' '.join(part.get_content_type() for part in mail.walk()))";
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), &letter.bytes)?;
    let python = Command::new("python3")
        .args(["-c", script])
        .stdin(std::fs::File::open(file.path())?)
        .output()
        .await;
    let Ok(output) = python else {
        eprintln!("skipped: the reading by another program (there is no python3)");
        return Ok(());
    };
    let said = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{wrong}");
    // To Python a feedback report is a message, and what it holds a text.
    assert_eq!(
        said.trim(),
        "multipart/mixed multipart/report text/plain message/feedback-report text/plain application/json application/json",
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_answers_a_mail_on_a_phone_without_scripts() -> Result<()> {
    let browser = platform::config::variable("TAKEDOWN_BROWSER");
    ensure!(
        browser.is_some(),
        "there is no TAKEDOWN_BROWSER; run `./dev test`, or pass `--skip browser`"
    );
    let day = Day::begin().await?;
    let long = format!("https://kite.example/{}", "album-".repeat(40));
    let case_id = desk::act(day.system.client(), &long).await?;
    let letter = day.letter("kite", 0).await?;
    day.stands(&case_id, "kite", NoticeState::Delivered).await?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser/mailbox.test.mjs");
    let output = Command::new("node")
        .arg("--test")
        .arg(script)
        .env("NOTICE_LINK", letter.link())
        .output()
        .await
        .context("starting node")?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "the browser's tests failed:\n{said}"
    );
    day.stands(&case_id, "kite", NoticeState::Disputed).await?;
    day.end().await
}
