//! A log is read over the wire by its registered consumers, by position, and by nobody else.

mod support;

use platform::log::{self, LogServer};
use platform::tls::{Connection, Role};
use proto::v1::log_service_client::LogServiceClient;
use proto::v1::read_log_response::Part;
use proto::v1::{LogBounds, LogEvent, ReadLogRequest};
use support::{CONSUMER, PRODUCER, World, event, number};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Request};
use uuid::Uuid;

async fn client(world: &World) -> LogServiceClient<Channel> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = platform::grpc::Server::new(proto::DESCRIPTORS).add_service(LogServer::new(
        world.origin.clone(),
        PRODUCER,
        &[CONSUMER],
    ));
    tokio::spawn(server.serve(listener, CancellationToken::new()));
    LogServiceClient::new(platform::grpc::channel(&address).unwrap())
}

fn asking(
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
    let mut answer = client.read_log(request).await.unwrap().into_inner();
    let Some(Part::Bounds(bounds)) = answer.message().await.unwrap().unwrap().part else {
        panic!("the answer does not begin with the bounds");
    };
    let mut events = Vec::new();
    while let Some(message) = answer.message().await.unwrap() {
        let Some(Part::Event(event)) = message.part else {
            panic!("only one message has the bounds");
        };
        events.push(event);
    }
    (bounds, events)
}

#[tokio::test]
async fn an_answer_begins_with_the_bounds_and_goes_on_in_order() {
    let world = World::new().await;
    let case = Uuid::new_v4();
    let said: Vec<_> = (1..=450).map(|n| event(case, n)).collect();
    let (third, last) = (said[2].id, said[449].id);
    world.say(&said).await;
    let mut client = client(&world).await;
    let shard = log::shard_of(case);
    let (bounds, events) = read(&mut client, asking(Some(CONSUMER), shard, 3, 1000)).await;
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

    let (_, some) = read(&mut client, asking(Some(CONSUMER), shard, 0, 210)).await;
    assert!(some.iter().map(|e| e.position).eq(1..=210));
    let (bounds, none) = read(&mut client, asking(Some(CONSUMER), shard, 450, 0)).await;
    assert_eq!((bounds.after_event_id, none.len()), (last.to_string(), 0));
    let (empty, none) = read(&mut client, asking(Some(CONSUMER), (shard + 1) % 16, 0, 10)).await;
    assert_eq!(
        (empty.head, empty.head_event_id, none.len()),
        (0, String::new(), 0)
    );
    // What was asked after is passed: the retention may drop it, and nothing beyond.
    let passed = "select position from log_consumer where consumer = 'hearer' and position > 0";
    assert_eq!(world.count(&world.origin, passed).await, 450);
}

#[tokio::test]
async fn strangers_learn_nothing() {
    let world = World::new().await;
    world.say(&[event(Uuid::new_v4(), 1)]).await;
    let mut client = client(&world).await;
    for (caller, code) in [
        (None, Code::Unauthenticated),
        (Some("gateway"), Code::PermissionDenied),
        (Some(""), Code::PermissionDenied),
    ] {
        let refused = client.read_log(asking(caller, 0, 0, 10)).await.unwrap_err();
        assert_eq!(refused.code(), code, "{caller:?}");
    }
    for (shard, after) in [(16, 0), (-1, 0), (0, -1)] {
        let refused = client
            .read_log(asking(Some(CONSUMER), shard, after, 10))
            .await
            .unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
    let nobody = "select count(*) from log_consumer";
    assert_eq!(world.count(&world.origin, nobody).await, 0);
}

#[tokio::test]
async fn what_the_transport_proved_counts_and_not_what_a_caller_says() {
    let world = World::new().await;
    for (proved, expected) in [(CONSUMER, Ok(())), ("gateway", Err(Code::PermissionDenied))] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let service = InterceptedService::new(
            LogServer::new(world.origin.clone(), PRODUCER, &[CONSUMER]),
            move |mut request: Request<()>| {
                request.extensions_mut().insert(Connection {
                    caller: Role::parse(proved),
                    address: None,
                });
                Ok(request)
            },
        );
        let server = platform::grpc::Server::new(proto::DESCRIPTORS).add_service(service);
        tokio::spawn(server.serve(listener, CancellationToken::new()));
        let mut client = LogServiceClient::new(platform::grpc::channel(&address).unwrap());
        let answer = client.read_log(asking(Some(CONSUMER), 0, 0, 0)).await;
        assert_eq!(answer.map(|_| ()).map_err(|status| status.code()), expected);
    }
}
