//! Parked events are listed for authorized staff, without their payload, and for nobody else.

mod support;

use std::sync::Arc;

use platform::bus::{Consumer, ParkedServer};
use platform::clock::wall;
use platform::principal::Role;
use platform::sealed::{Keyring, SigningContext, StaffClaims, StaffTokenIssuer};
use proto::v1::ListParkedRequest;
use proto::v1::parked_service_client::ParkedServiceClient;
use support::recording_handler::{InjectedError, RecordingHandler, create_tables};
use support::{CONSUMER, LogFixture, PRODUCER, event};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request};
use uuid::Uuid;

fn list_request(keyring: &Keyring, audience: &str, role: Role) -> Request<ListParkedRequest> {
    let issuer = StaffTokenIssuer::new(keyring.signer(SigningContext::StaffToken)).unwrap();
    let token = issuer
        .issue(&StaffClaims {
            subject: Uuid::nil(),
            name: "Sam Example".into(),
            roles: [role].into_iter().collect(),
            session: Uuid::nil(),
            audience: audience.into(),
            issued_at: wall(),
            expires_at: wall() + time::Duration::seconds(50),
        })
        .unwrap();
    let mut request = Request::new(ListParkedRequest {});
    let value = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

#[tokio::test]
async fn parked_events_are_listed_for_operators_supervisors_and_auditors() {
    let fixture = LogFixture::new().await;
    create_tables(&fixture.consumer_pool).await;
    let handler = RecordingHandler::default();
    let consumer = Consumer::new(
        fixture.consumer_pool.clone(),
        CONSUMER,
        PRODUCER,
        handler.clone(),
    );
    let case = Uuid::new_v4();
    handler.inject(&[InjectedError::Unprocessable(1)]);
    fixture.emit(&[event(case, 1), event(case, 2)]).await;
    consumer.run_once().await.unwrap();

    let folder = tempfile::tempdir().unwrap();
    let keyring = Arc::new(Keyring::create(&folder.path().join("keyring.json")).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = platform::grpc::Server::new(proto::DESCRIPTORS).add_service(ParkedServer::new(
        fixture.consumer_pool.clone(),
        &keyring,
        CONSUMER,
    ));
    tokio::spawn(server.serve(listener, CancellationToken::new()));
    let mut client = ParkedServiceClient::new(platform::grpc::channel(&address).unwrap());

    for role in [Role::Supervisor, Role::Operator, Role::Auditor] {
        let response = client
            .list_parked(list_request(&keyring, CONSUMER, role))
            .await;
        let parked = response.unwrap().into_inner();
        assert_eq!((parked.total, parked.events.len()), (2, 2));
        let first = &parked.events[0];
        assert_eq!(
            (first.consumer.as_str(), first.producer.as_str()),
            (CONSUMER, PRODUCER)
        );
        assert_eq!(first.case_id, case.to_string());
        assert_eq!(
            (first.kind.as_str(), first.reason.as_str()),
            ("Counted", "it does not decode")
        );
        assert_eq!(parked.events[1].reason, "follows a parked event");
    }
    let mut code = async |request| client.list_parked(request).await.unwrap_err().code();
    assert_eq!(
        code(list_request(&keyring, CONSUMER, Role::Analyst)).await,
        Code::PermissionDenied
    );
    assert_eq!(
        code(list_request(&keyring, "another", Role::Supervisor)).await,
        Code::Unauthenticated
    );
    assert_eq!(
        code(Request::new(ListParkedRequest {})).await,
        Code::Unauthenticated
    );
}
