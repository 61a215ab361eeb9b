//! A host with only an abuse mailbox: notices reach it by its mail server, a scanner opens the links, the host answers by
//! a link, and bounces and replies reach the hotline's inbound mail. Each test runs the whole system with its own clock.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use dispatch::delivery::MailSettings;
use domain::enums::{DeliveryChannel, NoticeState, ProviderRole, ReviewReason};
use lettre::address::Envelope;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use mail_parser::{Message, MessageParser, MimeHeaders as _};
use platform::clock::{Clock, ManualClock, wall};
use platform::connector::ConnectorMap;
use platform::smtp::{self, Limits, Mail, MailHandler, Peer, SmtpReply};
use proto::v1::{
    GetAssessmentRequest, NoticeSummary, Provider, SearchNoticesRequest, UpsertProvidersRequest,
};
use reqwest::{Client, Method, StatusCode};
use roles::system::{DEMO_POLICY, Options, System, policy};
use tests::analyst;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

const RETURN_DOMAIN: &str = "returns.hotline.example";

/// The mail server of every provider: accepts every mail and stores it.
#[derive(Clone, Default)]
struct TestMailServer(Arc<Mutex<Vec<DeliveredMail>>>);

#[derive(Clone)]
struct DeliveredMail {
    /// Envelope sender.
    from: String,
    to: String,
    bytes: Vec<u8>,
}

impl MailHandler for TestMailServer {
    type Recipient = String;

    async fn recipient(&self, _: Peer, address: &str) -> Result<String, SmtpReply> {
        Ok(address.to_owned())
    }

    async fn receive(&self, mail: Mail<String>) -> SmtpReply {
        let mails = mail.recipients.into_iter().map(|to| DeliveredMail {
            from: mail.sender.clone().unwrap_or_default(),
            to,
            bytes: mail.bytes.clone(),
        });
        self.0.lock().unwrap().extend(mails);
        SmtpReply::Continue("250 2.0.0 accepted")
    }
}

impl DeliveredMail {
    fn parse(&self) -> Message<'_> {
        MessageParser::default().parse(&self.bytes).unwrap()
    }

    fn text(&self) -> String {
        self.parse().body_text(0).unwrap().into_owned()
    }

    /// The link after `Answer:`, as a person would copy it.
    fn link(&self) -> String {
        let text = self.text();
        let line = text.lines().find_map(|line| line.strip_prefix("Answer:"));
        line.unwrap().trim().to_owned()
    }

    fn reply_addresses(&self) -> Vec<String> {
        let mail = self.parse();
        let replies = mail.reply_to().unwrap().iter();
        replies.map(|to| to.address().unwrap().to_owned()).collect()
    }
}

struct MailboxFixture {
    system: System,
    clock: ManualClock,
    server: TestMailServer,
    http: Client,
    _end: tokio_util::sync::DropGuard,
    _folder: tempfile::TempDir,
    _database: testkit::TestDatabase,
}

impl MailboxFixture {
    async fn start() -> Result<Self> {
        let database = testkit::TestDatabase::new(&[]).await;
        let folder = tempfile::tempdir()?;
        let (server, stop) = (TestMailServer::default(), CancellationToken::new());
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let at = listener.local_addr()?;
        let settings = smtp::SmtpSettings {
            name: "mx.test".into(),
            limits: Limits {
                connections: 16,
                recipients: 1,
                size: 1 << 20,
                read_timeout: Duration::from_mins(1),
                session: Duration::from_mins(10),
            },
            tls: None,
        };
        tokio::spawn(smtp::serve(
            listener,
            server.clone(),
            settings,
            stop.clone(),
        ));

        let clock = ManualClock::new(wall());
        let mut options = Options::new(folder.path().join("data"));
        options.database_url = Some(database.url().into());
        options.clock = Clock::Manual(clock.clone());
        options.policy = policy(DEMO_POLICY)?;
        options.connector.map = ConnectorMap::default();
        // No server has the pages: content status is not part of these tests.
        options
            .connector
            .map
            .insert("*.example", "127.0.0.1:1".parse()?)?;
        options.settings.dispatch.resolve_names = false;
        options.settings.dispatch.mail = Some(MailSettings {
            host: at.ip().to_string(),
            port: at.port(),
            return_domain: Some(RETURN_DOMAIN.into()),
            ..MailSettings::default()
        });
        let system = System::start(options, &|line| eprintln!("{line}")).await?;
        let fixture = Self {
            system,
            clock,
            server,
            http: Client::builder().timeout(Duration::from_secs(20)).build()?,
            _end: stop.drop_guard(),
            _folder: folder,
            _database: database,
        };
        fixture.register_providers().await?;
        Ok(fixture)
    }

    /// Registers `kite` and `reed` with their upstream `larch`. All three have only a mailbox.
    async fn register_providers(&self) -> Result<()> {
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
        let request = UpsertProvidersRequest { providers };
        let response = self
            .system
            .client()
            .dispatch()
            .upsert_providers(request)
            .await?;
        ensure!(response.get_ref().problems.is_empty());
        Ok(())
    }

    /// Waits for mail number `n` to a mailbox, counted from 0.
    async fn wait_for_mail(&self, to: &str, n: usize) -> Result<DeliveredMail> {
        let to = format!("abuse@{to}.example");
        let found = || {
            let mails = self.server.0.lock().unwrap();
            mails.iter().filter(|mail| mail.to == to).nth(n).cloned()
        };
        analyst::wait_until(&format!("mail {n} to {to}"), async || Ok(found().is_some())).await?;
        found().context("the mail has disappeared")
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

    /// Waits until this provider's first notice of a case has this state.
    async fn wait_for_state(
        &self,
        case_id: &str,
        provider: &str,
        state: NoticeState,
    ) -> Result<()> {
        analyst::wait_until(&format!("{provider} {state}"), async || {
            let notices = self.notices(case_id).await?;
            let first = notices
                .iter()
                .filter(|notice| notice.provider_id == provider)
                .min_by_key(|notice| notice.step);
            Ok(first.is_some_and(|notice| notice.state == state.wire()))
        })
        .await
    }

    /// Sends a mail to the hotline's inbound mail as a foreign mail server; the inner error is the code of a refusal.
    async fn send(&self, from: Option<&str>, to: &str, mail: &str) -> Result<Result<(), u16>> {
        let inbound = self.system.mail_address();
        let transport =
            AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(inbound.ip().to_string())
                .port(inbound.port())
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

    async fn stop(self) -> Result<()> {
        self.system.stop().await
    }
}

fn bounce(of: &DeliveredMail) -> String {
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
async fn a_mailbox_is_notified_reminded_and_answers_with_one_click() -> Result<()> {
    let fixture = MailboxFixture::start().await?;
    let url = "https://kite.example/album/1.jpg";
    let case_id = analyst::report_and_decide(fixture.system.client(), url).await?;
    let first = fixture.wait_for_mail("kite", 0).await?;
    assert_first_lines(&first, url);
    assert_well_formed(&first).await?;

    // A mail scanner opens the link repeatedly: nothing changes, and the page identifies itself.
    fixture
        .wait_for_state(&case_id, "kite", NoticeState::Delivered)
        .await?;
    let before = fixture.notices(&case_id).await?;
    for method in [Method::HEAD, Method::GET, Method::GET] {
        let (status, page) = fixture.open(method.clone(), &first.link()).await?;
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
    assert_eq!(fixture.notices(&case_id).await?, before);

    // Without an answer a reminder follows, in the same mail thread.
    fixture.clock.advance(time::Duration::seconds(6));
    let reminder = fixture.wait_for_mail("kite", 1).await?;
    let (first_mail, second) = (first.parse(), reminder.parse());
    let root = first_mail.message_id().unwrap();
    assert_ne!(second.message_id().unwrap(), root);
    assert_eq!(second.in_reply_to().as_text(), Some(root));
    assert_eq!(second.references().as_text(), Some(root));
    assert_ne!(
        reminder.from, first.from,
        "each mail has its own return address"
    );

    // One click answers, and the page shows the answer afterwards.
    let answer = fixture
        .http
        .post(reminder.link())
        .form(&[("answer", "acknowledged")]);
    let response = answer.send().await?;
    assert_eq!(response.status(), StatusCode::OK);
    let (_, page) = fixture.open(Method::GET, &reminder.link()).await?;
    assert!(page.contains("We have received it</dd>"), "{page}");

    // An altered or guessed link leads nowhere and reveals nothing.
    let (status, page) = fixture
        .open(Method::GET, &format!("{}x", first.link()))
        .await?;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(page.contains("does not lead to a notice") && !page.contains("kite"));

    // After three months the link has expired; the page says so and what to do next.
    fixture.clock.advance(time::Duration::days(91));
    let (status, page) = fixture.open(Method::GET, &first.link()).await?;
    assert_eq!(status, StatusCode::GONE);
    assert!(page.contains("This link has expired") && page.contains("You will be sent a new link"));
    let late = fixture
        .http
        .post(first.link())
        .form(&[("answer", "removed")]);
    assert_eq!(late.send().await?.status(), StatusCode::GONE);
    fixture.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bounce_escalates_to_the_next_provider_and_a_forged_bounce_does_not() -> Result<()> {
    let fixture = MailboxFixture::start().await?;
    let client = fixture.system.client();
    let case_id = analyst::report_and_decide(client, "https://kite.example/2").await?;
    let first = fixture.wait_for_mail("kite", 0).await?;
    fixture
        .wait_for_state(&case_id, "kite", NoticeState::Delivered)
        .await?;

    // Return addresses cannot be forged, and the inbound mail relays nothing.
    let forged = first.from.replacen("b1-", "b1-a", 1);
    for recipient in [
        forged.as_str(),
        "abuse@kite.example",
        "notices@hotline.example",
    ] {
        assert_eq!(
            fixture.send(None, recipient, &bounce(&first)).await?,
            Err(550)
        );
    }
    // A person to whom the mail was forwarded knows the reply address, which accepts no bounce.
    let replies = first.reply_addresses();
    assert_eq!(replies.len(), 2);
    assert_eq!(
        fixture.send(None, &replies[1], &bounce(&first)).await?,
        Err(550)
    );
    fixture
        .wait_for_state(&case_id, "kite", NoticeState::Delivered)
        .await?;

    let sent = fixture.server.0.lock().unwrap().len();
    assert_eq!(
        fixture.send(None, &first.from, &bounce(&first)).await?,
        Ok(())
    );
    let next = fixture.wait_for_mail("larch", 0).await?;
    assert!(next.text().contains("https://kite.example/2"));
    fixture
        .wait_for_state(&case_id, "kite", NoticeState::Bounced)
        .await?;
    // The same bounce again changes nothing, and no mail is sent in reply.
    assert_eq!(
        fixture.send(None, &first.from, &bounce(&first)).await?,
        Ok(())
    );
    assert_eq!(fixture.server.0.lock().unwrap().len(), sent + 1);
    assert_eq!(fixture.notices(&case_id).await?.len(), 2);
    fixture.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_automatic_reply_is_not_an_answer_and_a_personal_reply_is_reviewed() -> Result<()> {
    let fixture = MailboxFixture::start().await?;
    let client = fixture.system.client();
    let case_id = analyst::report_and_decide(client, "https://kite.example/3").await?;
    let first = fixture.wait_for_mail("kite", 0).await?;
    fixture
        .wait_for_state(&case_id, "kite", NoticeState::Delivered)
        .await?;
    let away = format!(
        "From: Abuse <abuse@kite.example>\nTo: <{}>\nSubject: Re: Notice\nAuto-Submitted: auto-replied\n\nThis mailbox is not read.\n",
        first.from
    );
    assert_eq!(fixture.send(None, &first.from, &away).await?, Ok(()));
    fixture.clock.advance(time::Duration::seconds(3));
    fixture.wait_for_mail("larch", 0).await?;
    // After an automatic reply the host is still expected to answer, and may do so.
    fixture
        .wait_for_state(&case_id, "kite", NoticeState::Escalated)
        .await?;
    let answer = fixture
        .http
        .post(first.link())
        .form(&[("answer", "removed")]);
    assert_eq!(answer.send().await?.status(), StatusCode::OK);
    fixture
        .wait_for_state(&case_id, "kite", NoticeState::RemovalClaimed)
        .await?;

    let other = analyst::report_and_decide(client, "https://reed.example/4").await?;
    let notice = fixture.wait_for_mail("reed", 0).await?;
    fixture
        .wait_for_state(&other, "reed", NoticeState::Delivered)
        .await?;
    let to = &notice.reply_addresses()[1];
    let reply = "From: Robin <robin@reed.example>\nSubject: Re: Notice\n\nWe took https://reed.example/4 down.\n";
    let sent = fixture.send(Some("robin@reed.example"), to, reply).await?;
    assert_eq!(sent, Ok(()));
    analyst::wait_until("the reply is queued for review", async || {
        let request = GetAssessmentRequest {
            case_id: other.clone(),
        };
        let assessed = client.verification().get_assessment(request).await?;
        let assessment = assessed.into_inner().assessment.context("no case")?;
        Ok(assessment.review == ReviewReason::Replied.wire())
    })
    .await?;
    fixture
        .wait_for_state(&other, "reed", NoticeState::Delivered)
        .await?;
    fixture.stop().await
}

fn assert_first_lines(mail: &DeliveredMail, url: &str) {
    let text = mail.text();
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
    let mail = mail.parse();
    assert!(
        !mail.subject().unwrap().contains("kite"),
        "the subject names the host"
    );
    let report = mail.parts[1].content_type().unwrap();
    assert_eq!(report.attribute("report-type"), Some("feedback-report"));
    let names: Vec<_> = mail
        .attachments()
        .filter_map(|part| part.attachment_name())
        .collect();
    assert_eq!(names, ["xarf.json", "notice.json"]);
}

/// Checks the mail with Python's parser, if Python is installed.
async fn assert_well_formed(mail: &DeliveredMail) -> Result<()> {
    let script = "import email, email.policy, sys
mail = email.message_from_binary_file(sys.stdin.buffer, policy=email.policy.default)
assert not any(part.defects for part in mail.walk()), [part.defects for part in mail.walk()]
print(' '.join(part.get_content_type() for part in mail.walk()))";
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), &mail.bytes)?;
    let python = Command::new("python3")
        .args(["-c", script])
        .stdin(std::fs::File::open(file.path())?)
        .output()
        .await;
    let Ok(output) = python else {
        eprintln!("skipped: parsing with Python (python3 is not installed)");
        return Ok(());
    };
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{stderr}");
    // Python parses a feedback report as a message with a text part.
    assert_eq!(
        stdout.trim(),
        "multipart/mixed multipart/report text/plain message/feedback-report text/plain application/json application/json",
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_answers_a_mail_on_a_phone_without_scripts() -> Result<()> {
    let browser = platform::config::env_var("TAKEDOWN_BROWSER");
    ensure!(
        browser.is_some(),
        "TAKEDOWN_BROWSER is not set; run `./dev test`, or pass `--skip browser`"
    );
    let fixture = MailboxFixture::start().await?;
    let long = format!("https://kite.example/{}", "album-".repeat(40));
    let case_id = analyst::report_and_decide(fixture.system.client(), &long).await?;
    let mail = fixture.wait_for_mail("kite", 0).await?;
    fixture
        .wait_for_state(&case_id, "kite", NoticeState::Delivered)
        .await?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser/mailbox.test.mjs");
    let output = Command::new("node")
        .arg("--test")
        .arg(script)
        .env("NOTICE_LINK", mail.link())
        .output()
        .await
        .context("starting node")?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "the browser's tests failed:\n{stdout}"
    );
    fixture
        .wait_for_state(&case_id, "kite", NoticeState::Disputed)
        .await?;
    fixture.stop().await
}
