//! A log can be read over gRPC by its registered consumers only, and by position only.

mod support;

use platform::log::{self, LogServer};
use platform::tls::{Connection, ServiceRole};
use proto::v1::log_service_client::LogServiceClient;
use proto::v1::read_log_response::Part;
use proto::v1::{LogBounds, LogEvent, ReadLogRequest};
use support::{CONSUMER, LogFixture, PRODUCER, event, number};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Request};
use uuid::Uuid;

async fn client(fixture: &LogFixture) -> LogServiceClient<Channel> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = platform::grpc::Server::new(proto::DESCRIPTORS).add_service(LogServer::new(
        fixture.producer_pool.clone(),
        PRODUCER,
        &[CONSUMER],
    ));
    tokio::spawn(server.serve(listener, CancellationToken::new()));
    LogServiceClient::new(platform::grpc::channel(&address).unwrap())
}

fn read_request(
    caller: Option<&'static str>,
    shard: i16,
    after: i64,
    limit: u32,
) -> Request<ReadLogRequest> {
    let mut request = Request::new(ReadLogRequest {
        shard: shard.try_into().unwrap_or(99),
        after,
        limit,
    });
    if let Some(caller) = caller {
        request
            .metadata_mut()
            .insert("takedown-caller", caller.parse().unwrap());
    }
    request
}

async fn read(
    client: &mut LogServiceClient<Channel>,
    request: Request<ReadLogRequest>,
) -> (LogBounds, Vec<LogEvent>) {
    let mut response = client.read_log(request).await.unwrap().into_inner();
    let Some(Part::Bounds(bounds)) = response.message().await.unwrap().unwrap().part else {
        panic!("the response does not begin with the bounds");
    };
    let mut events = Vec::new();
    while let Some(message) = response.message().await.unwrap() {
        let Some(Part::Event(event)) = message.part else {
            panic!("only the first message has the bounds");
        };
        events.push(event);
    }
    (bounds, events)
}

#[tokio::test]
async fn a_response_begins_with_the_bounds_and_continues_in_order() {
    let fixture = LogFixture::new().await;
    let case = Uuid::new_v4();
    let emitted: Vec<_> = (1..=450).map(|n| event(case, n)).collect();
    let (third, last) = (emitted[2].id, emitted[449].id);
    fixture.emit(&emitted).await;
    let mut client = client(&fixture).await;
    let shard = log::shard_of(case);
    let (bounds, events) = read(&mut client, read_request(Some(CONSUMER), shard, 3, 1000)).await;
    assert_eq!((bounds.floor, bounds.head), (1, 450));
    assert_eq!(bounds.head_event_id, last.to_string());
    assert_eq!(bounds.after_event_id, third.to_string());
    assert!(events.iter().map(|e| e.position).eq(4..=450));
    assert!(events.iter().map(|e| number(&e.payload)).eq(4..=450));
    assert!(
        events
            .iter()
            .all(|e| e.case_id == case.to_string() && e.kind == "Counted")
    );

    let (_, limited) = read(&mut client, read_request(Some(CONSUMER), shard, 0, 210)).await;
    assert!(limited.iter().map(|e| e.position).eq(1..=210));
    let (bounds, none) = read(&mut client, read_request(Some(CONSUMER), shard, 450, 0)).await;
    assert_eq!((bounds.after_event_id, none.len()), (last.to_string(), 0));
    let (empty, none) = read(
        &mut client,
        read_request(Some(CONSUMER), (shard + 1) % 16, 0, 10),
    )
    .await;
    assert_eq!(
        (empty.head, empty.head_event_id, none.len()),
        (0, String::new(), 0)
    );
    // The consumer's position is the requested `after`: retention may drop up to there, and nothing beyond.
    let recorded = "select position from log_consumer where consumer = 'consumer' and position > 0";
    assert_eq!(fixture.count(&fixture.producer_pool, recorded).await, 450);
}

#[tokio::test]
async fn unregistered_callers_are_refused() {
    let fixture = LogFixture::new().await;
    fixture.emit(&[event(Uuid::new_v4(), 1)]).await;
    let mut client = client(&fixture).await;
    for (caller, code) in [
        (None, Code::Unauthenticated),
        (Some("gateway"), Code::PermissionDenied),
        (Some(""), Code::PermissionDenied),
    ] {
        let refused = client
            .read_log(read_request(caller, 0, 0, 10))
            .await
            .unwrap_err();
        assert_eq!(refused.code(), code, "{caller:?}");
    }
    for (shard, after) in [(16, 0), (-1, 0), (0, -1)] {
        let refused = client
            .read_log(read_request(Some(CONSUMER), shard, after, 10))
            .await
            .unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
    let consumers = "select count(*) from log_consumer";
    assert_eq!(fixture.count(&fixture.producer_pool, consumers).await, 0);
}

#[tokio::test]
async fn the_authenticated_role_counts_and_not_the_name_in_the_metadata() {
    let fixture = LogFixture::new().await;
    for (authenticated, expected) in [(CONSUMER, Ok(())), ("gateway", Err(Code::PermissionDenied))]
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let service = InterceptedService::new(
            LogServer::new(fixture.producer_pool.clone(), PRODUCER, &[CONSUMER]),
            move |mut request: Request<()>| {
                request.extensions_mut().insert(Connection {
                    caller: ServiceRole::parse(authenticated),
                    address: None,
                });
                Ok(request)
            },
        );
        let server = platform::grpc::Server::new(proto::DESCRIPTORS).add_service(service);
        tokio::spawn(server.serve(listener, CancellationToken::new()));
        let mut client = LogServiceClient::new(platform::grpc::channel(&address).unwrap());
        let response = client.read_log(read_request(Some(CONSUMER), 0, 0, 0)).await;
        assert_eq!(
            response.map(|_| ()).map_err(|status| status.code()),
            expected
        );
    }
}
