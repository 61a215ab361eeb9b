//! `takedown provider serve` as a host's engineer runs it, against a whole system, on every way that a notice comes.

use std::net::SocketAddr;
use std::time::Duration;

use domain::word::{Category, DeliveryChannel, ProviderRole};
use platform::testing::TestDatabase;
use proto::v1::{
    ClaimCasesRequest, CreateProviderKeyRequest, DecideCasesRequest, DecisionItem, NoticeSummary,
    Provider, PutProvidersRequest, ReportChannel, ReportItem, SearchNoticesRequest,
    SubmitReportsRequest, Verdict, verdict,
};
use takedown::client::Client;
use takedown::output::Format;
use takedown::street::files::Behaviour;
use takedown::street::serve::{Options, serve};
use takedown::system::{self, System};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const DEADLINE: Duration = Duration::from_mins(1);

/// A system whose mail goes to one address and whose webhooks to another, both of hosts that are still to come.
async fn system(folder: &tempfile::TempDir, database: &TestDatabase, to: Doors) -> System {
    let mut options = system::Options::new(folder.path().join("data"));
    options.database_url = Some(database.url().into());
    let map = &mut options.connector.map;
    map.insert("notify.pushed.example", to.web).unwrap();
    // Nobody serves the pages: whether they are up cannot be told, and nothing is looked up by DNS.
    map.insert("*.example", SocketAddr::from(([127, 0, 0, 1], 9)))
        .unwrap();
    let dispatch = &mut options.settings.dispatch;
    dispatch.resolve_names = false;
    dispatch.plain_webhooks = true;
    dispatch.mail = Some(dispatch::channels::MailSettings {
        host: to.mail.ip().to_string(),
        port: to.mail.port(),
        ..Default::default()
    });
    dispatch.delivery.retry.first_seconds = 0.2;
    dispatch.delivery.retry.longest_seconds = 1.0;
    System::start(options, &|line| eprintln!("{line}"))
        .await
        .unwrap()
}

/// Free addresses for whoever takes webhooks and mail.
#[derive(Clone, Copy)]
struct Doors {
    web: SocketAddr,
    mail: SocketAddr,
}

fn doors() -> Doors {
    // Both are held until both are known.
    let held = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let [web, mail] = held.map(|listener| listener.local_addr().unwrap());
    Doors { web, mail }
}

struct Host {
    options: Options,
    end: CancellationToken,
}

impl Host {
    async fn of(system: &System, id: &str, behaviour: Behaviour) -> Self {
        let request = CreateProviderKeyRequest {
            provider_id: id.to_owned(),
            ..CreateProviderKeyRequest::default()
        };
        let made = system
            .client()
            .dispatch()
            .create_provider_key(request)
            .await;
        let options = Options {
            id: id.to_owned(),
            key: made.unwrap().into_inner().key.into(),
            gateway: system.addresses().gateway.clone(),
            behaviour,
            upstream: None,
            poll: false,
            webhook_listen: None,
            webhook_url: None,
            smtp_listen: None,
            format: Format::default(),
        };
        let end = CancellationToken::new();
        Self { options, end }
    }

    /// Returns when the host is there; what it comes to is told when it was asked to end.
    async fn serve(&self) -> JoinHandle<u64> {
        let (heard, there) = tokio::sync::oneshot::channel();
        let serving = serve(self.options.clone(), self.end.clone(), |_| {
            let _ = heard.send(());
        });
        let serving = tokio::spawn(async move { serving.await.unwrap().read().received });
        there.await.unwrap();
        serving
    }
}

async fn directory(client: &Client) {
    let provider = |id: &str, channel: DeliveryChannel| Provider {
        provider_id: id.to_owned(),
        role: ProviderRole::Host.wire(),
        domains: vec![format!("{id}.example")],
        channel: channel.wire(),
        abuse_contact: if channel == DeliveryChannel::Email {
            format!("abuse@{id}.example")
        } else {
            String::new()
        },
        ..Provider::default()
    };
    let providers = vec![
        provider("asking", DeliveryChannel::Api),
        provider("deaf", DeliveryChannel::Api),
        provider("pushed", DeliveryChannel::Api),
        provider("mailed", DeliveryChannel::Email),
    ];
    let request = PutProvidersRequest { providers };
    let answer = client.dispatch().put_providers(request).await.unwrap();
    assert_eq!(answer.get_ref().problems, []);
}

/// A case at each host, decided by an analyst.
async fn cases(client: &Client) {
    let hosts = ["asking", "deaf", "pushed", "mailed"];
    let items = hosts.map(|host| ReportItem {
        url: format!("https://{host}.example/a"),
        ..ReportItem::default()
    });
    let request = SubmitReportsRequest {
        channel: ReportChannel::Public.into(),
        items: items.into(),
        ..SubmitReportsRequest::default()
    };
    client.intake().submit_reports(request).await.unwrap();
    let mut decided = 0;
    let deciding = async {
        while decided < hosts.len() {
            let request = ClaimCasesRequest {
                limit: 10,
                case_id: String::new(),
            };
            let claimed = client.verification().claim_cases(request).await.unwrap();
            let items: Vec<DecisionItem> = claimed
                .into_inner()
                .claimed
                .into_iter()
                .map(|claimed| {
                    let case = claimed.assessment.unwrap();
                    let actionable = verdict::Verdict::Actionable(Category::B.wire());
                    DecisionItem {
                        case_id: case.case_id,
                        version: case.version,
                        claim_token: claimed.claim_token,
                        verdict: Some(Verdict {
                            verdict: Some(actionable),
                        }),
                    }
                })
                .collect();
            decided += items.len();
            if items.is_empty() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            } else {
                let request = DecideCasesRequest { items };
                client.verification().decide_cases(request).await.unwrap();
            }
        }
    };
    tokio::time::timeout(DEADLINE, deciding).await.unwrap();
}

async fn notice(client: &Client, provider: &str) -> Option<NoticeSummary> {
    let request = SearchNoticesRequest {
        provider_id: provider.to_owned(),
        ..SearchNoticesRequest::default()
    };
    let found = client.dispatch().search_notices(request).await.unwrap();
    found.into_inner().notices.pop()
}

/// The notice of a host that has said that it removed the page.
async fn claimed(client: &Client, provider: &str) -> NoticeSummary {
    let asking = async {
        loop {
            match notice(client, provider).await {
                Some(notice) if notice.removal_claimed_at.is_some() => return notice,
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    };
    tokio::time::timeout(DEADLINE, asking)
        .await
        .unwrap_or_else(|_| panic!("{provider} never answered"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_down_is_told_again_until_it_is_up_on_every_way() {
    let folder = tempfile::tempdir().unwrap();
    let database = TestDatabase::new(&[]).await;
    let doors = doors();
    let system = system(&folder, &database, doors).await;
    let client = system.client();
    directory(client).await;

    let asking = Host::of(&system, "asking", Behaviour::Down).await;
    let deaf = Host::of(&system, "deaf", Behaviour::Bounces).await;
    let mut pushed = Host::of(&system, "pushed", Behaviour::Down).await;
    pushed.options.webhook_listen = Some(doors.web);
    pushed.options.webhook_url = Some("http://notify.pushed.example/notices".to_owned());
    let mut mailed = Host::of(&system, "mailed", Behaviour::Down).await;
    mailed.options.smtp_listen = Some(doors.mail);
    let began = platform::clock::wall();
    let serving = [
        asking.serve().await,
        deaf.serve().await,
        pushed.serve().await,
        mailed.serve().await,
    ];
    cases(client).await;

    let read = claimed(client, "asking").await.delivered_at.unwrap();
    let read = domain::wire::time("delivered_at", &read).unwrap();
    assert!(read - began > Duration::from_secs(3), "it was up at once");
    for id in ["pushed", "mailed"] {
        let notice = claimed(client, id).await;
        assert!(notice.attempts > 1, "{id} was up at once: {notice:?}");
    }
    // Whoever never asks is told nothing, and is there as long as the others.
    let [asking_ends, deaf_ends, pushed_ends, mailed_ends] = serving;
    assert!(!deaf_ends.is_finished());
    let unread = notice(client, "deaf").await.unwrap();
    assert!(unread.delivered_at.is_none(), "{unread:?}");
    for host in [&asking, &deaf, &pushed, &mailed] {
        host.end.cancel();
    }
    assert_eq!(deaf_ends.await.unwrap(), 0);
    for ends in [asking_ends, pushed_ends, mailed_ends] {
        assert!(ends.await.unwrap() >= 1);
    }
    system.stop().await.unwrap();
}
