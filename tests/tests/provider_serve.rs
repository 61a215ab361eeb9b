//! `takedown provider serve` as a host's engineers run it, against a whole system, on every delivery channel.

use std::net::SocketAddr;
use std::time::Duration;

use domain::enums::{Category, DeliveryChannel, ProviderRole};
use proto::v1::{
    ClaimCasesRequest, CreateProviderKeyRequest, DecideCasesRequest, DecisionItem, NewReport,
    NoticeSummary, Provider, ReportChannel, SearchNoticesRequest, SubmitReportsRequest,
    UpsertProvidersRequest, Verdict, verdict,
};
use roles::client::Client;
use roles::system::{self, System};
use simulator::scenario::Behaviour;
use simulator::serve::{ServeOptions, serve};
use testkit::TestDatabase;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const DEADLINE: Duration = Duration::from_mins(1);

/// A system that sends mails and webhooks to these addresses, whose hosts start later.
async fn system(folder: &tempfile::TempDir, database: &TestDatabase, to: HostAddresses) -> System {
    let mut options = system::Options::new(folder.path().join("data"));
    options.database_url = Some(database.url().into());
    let map = &mut options.connector.map;
    map.insert("notify.pushed.example", to.web).unwrap();
    // No server has the pages, so their content status is unknown. Nothing is resolved by DNS.
    map.insert("*.example", SocketAddr::from(([127, 0, 0, 1], 9)))
        .unwrap();
    let dispatch = &mut options.settings.dispatch;
    dispatch.resolve_names = false;
    dispatch.http_webhooks = true;
    dispatch.mail = Some(dispatch::delivery::MailSettings {
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

/// Free addresses for webhooks and mail.
#[derive(Clone, Copy)]
struct HostAddresses {
    web: SocketAddr,
    mail: SocketAddr,
}

fn free_addresses() -> HostAddresses {
    // Both listeners exist at the same time, so that the addresses differ.
    let listeners = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let [web, mail] = listeners.map(|listener| listener.local_addr().unwrap());
    HostAddresses { web, mail }
}

struct ServedHost {
    options: ServeOptions,
    end: CancellationToken,
}

impl ServedHost {
    async fn new(system: &System, id: &str, behaviour: Behaviour) -> Self {
        let request = CreateProviderKeyRequest {
            provider_id: id.to_owned(),
            ..CreateProviderKeyRequest::default()
        };
        let made = system
            .client()
            .dispatch()
            .create_provider_key(request)
            .await;
        let options = ServeOptions {
            id: id.to_owned(),
            key: made.unwrap().into_inner().key.into(),
            gateway: system.addresses().gateway.clone(),
            behaviour,
            upstream: None,
            poll: false,
            webhook_listen: None,
            webhook_url: None,
            smtp_listen: None,
        };
        let end = CancellationToken::new();
        Self { options, end }
    }

    /// Returns when the host is listening. The task returns the number of received messages when the host has ended.
    async fn serve(&self) -> JoinHandle<u64> {
        let (sender, listening) = tokio::sync::oneshot::channel();
        let serving = serve(self.options.clone(), self.end.clone(), |_| {
            let _ = sender.send(());
        });
        let serving = tokio::spawn(async move { serving.await.unwrap().totals().received });
        listening.await.unwrap();
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
        provider("polling", DeliveryChannel::Api),
        provider("bouncing", DeliveryChannel::Api),
        provider("pushed", DeliveryChannel::Api),
        provider("mailed", DeliveryChannel::Email),
    ];
    let request = UpsertProvidersRequest { providers };
    let answer = client.dispatch().upsert_providers(request).await.unwrap();
    assert_eq!(answer.get_ref().problems, []);
}

/// Reports one URL at each host and decides the cases as an analyst.
async fn report_and_decide(client: &Client) {
    let hosts = ["polling", "bouncing", "pushed", "mailed"];
    let reports = hosts.map(|host| NewReport {
        url: format!("https://{host}.example/a"),
        ..NewReport::default()
    });
    let request = SubmitReportsRequest {
        channel: ReportChannel::Public.into(),
        reports: reports.into(),
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
            let decisions: Vec<DecisionItem> = claimed
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
            decided += decisions.len();
            if decisions.is_empty() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            } else {
                let request = DecideCasesRequest { decisions };
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

/// Waits until a host has claimed the removal; returns its notice.
async fn wait_for_removal_claim(client: &Client, provider: &str) -> NoticeSummary {
    let polling = async {
        loop {
            match notice(client, provider).await {
                Some(notice) if notice.removal_claimed_at.is_some() => return notice,
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    };
    tokio::time::timeout(DEADLINE, polling)
        .await
        .unwrap_or_else(|_| panic!("{provider} did not answer in time"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_down_is_notified_again_until_it_is_up_on_every_channel() {
    let folder = tempfile::tempdir().unwrap();
    let database = TestDatabase::new(&[]).await;
    let addresses = free_addresses();
    let system = system(&folder, &database, addresses).await;
    let client = system.client();
    directory(client).await;

    let polling = ServedHost::new(&system, "polling", Behaviour::Down).await;
    let bouncing = ServedHost::new(&system, "bouncing", Behaviour::Bounces).await;
    let mut pushed = ServedHost::new(&system, "pushed", Behaviour::Down).await;
    pushed.options.webhook_listen = Some(addresses.web);
    pushed.options.webhook_url = Some("http://notify.pushed.example/notices".to_owned());
    let mut mailed = ServedHost::new(&system, "mailed", Behaviour::Down).await;
    mailed.options.smtp_listen = Some(addresses.mail);
    let started = platform::clock::wall();
    let serving = [
        polling.serve().await,
        bouncing.serve().await,
        pushed.serve().await,
        mailed.serve().await,
    ];
    report_and_decide(client).await;

    let notice_of_polling = wait_for_removal_claim(client, "polling").await;
    let read = notice_of_polling.delivered_at.unwrap();
    let read = domain::wire::time("delivered_at", &read).unwrap();
    assert!(read - started > Duration::from_secs(3), "it was up at once");
    for id in ["pushed", "mailed"] {
        let notice = wait_for_removal_claim(client, id).await;
        assert!(notice.attempts > 1, "{id} was up at once: {notice:?}");
    }
    // A host that never polls receives nothing, and runs as long as the others.
    let [polling_ends, bouncing_ends, pushed_ends, mailed_ends] = serving;
    assert!(!bouncing_ends.is_finished());
    let unread = notice(client, "bouncing").await.unwrap();
    assert!(unread.delivered_at.is_none(), "{unread:?}");
    for host in [&polling, &bouncing, &pushed, &mailed] {
        host.end.cancel();
    }
    assert_eq!(bouncing_ends.await.unwrap(), 0);
    for ends in [polling_ends, pushed_ends, mailed_ends] {
        assert!(ends.await.unwrap() >= 1);
    }
    system.stop().await.unwrap();
}
