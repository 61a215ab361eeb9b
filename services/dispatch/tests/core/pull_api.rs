//! A provider can read what could be sent to it: notices with a valid proof, and none that a police hold
//! covers.

use domain::enums::{Answer, NoticeState};
use domain::event::Body;
use domain::id::CaseId;
use platform::error::Problem;
use proto::v1;

use crate::served_dispatch::{ServedDispatch, with_credential};

/// Ids of the listed notices.
async fn listed_ids(served: &mut ServedDispatch, key: &str) -> Vec<String> {
    let page = served
        .client
        .list_notices(with_credential(key, v1::ListNoticesRequest::default()))
        .await;
    let notices = page.unwrap().into_inner().notices;
    notices.into_iter().map(|notice| notice.notice_id).collect()
}

/// Reads the first notice of a case by key; returns the code of a refusal.
async fn get_notice(
    served: &mut ServedDispatch,
    key: &str,
    case_id: CaseId,
) -> Result<v1::Notice, String> {
    let notice_id = served.fixture.notices(case_id).await[0].id.to_string();
    let request = v1::GetNoticeRequest { notice_id };
    match served
        .client
        .get_notice(with_credential(key, request))
        .await
    {
        Ok(found) => Ok(found.into_inner().notice.unwrap()),
        Err(status) => Err(Problem::from(status).code.into_owned()),
    }
}

/// Reads the first notice of a case by link; returns the code of a refusal.
async fn view_by_link(served: &mut ServedDispatch, case_id: CaseId) -> Result<v1::Notice, String> {
    let notice = served.fixture.notices(case_id).await.remove(0);
    let end = served.fixture.now() + time::Duration::DAY;
    let keyring = &served.fixture.deps.keyring;
    let token = dispatch::delivery::link::token(keyring, notice.id, &notice.provider_id, end);
    let request = v1::ViewByLinkRequest { token };
    match served.client.view_by_link(request).await {
        Ok(found) => Ok(found.into_inner().notice.unwrap()),
        Err(status) => Err(Problem::from(status).code.into_owned()),
    }
}

#[tokio::test]
async fn a_notice_whose_seal_was_changed_by_sql_is_not_shown_and_does_not_block_others() {
    for change in [
        "update case_seal set proof_signature = decode(repeat('00', 64), 'hex') where case_id = $1",
        "update case_seal set sealed_content = decode('00', 'hex') where case_id = $1",
    ] {
        let mut served = ServedDispatch::start().await;
        let forged = served
            .fixture
            .open_case("https://amber.example/forged")
            .await;
        let good = served.fixture.open_case("https://amber.example/good").await;
        sqlx::query(sqlx::AssertSqlSafe(change))
            .bind(forged.uuid())
            .execute(&served.fixture.pool)
            .await
            .unwrap();
        let key = served.provider_key("amber", &[]).await;
        let wanted = served.fixture.notices(good).await[0].id.to_string();
        assert_eq!(listed_ids(&mut served, &key).await, [wanted], "{change}");
        let found = get_notice(&mut served, &key, forged).await;
        assert_eq!(found.unwrap_err(), "not_found", "{change}");
        let found = view_by_link(&mut served, forged).await;
        assert_eq!(found.unwrap_err(), "link_unknown", "{change}");
        let unread = &served.fixture.notices(forged).await[0];
        assert_eq!(
            unread.state,
            NoticeState::Sent,
            "it does not count as delivered"
        );
        served.stop().await;
    }
}

#[tokio::test]
async fn a_police_hold_hides_unread_notices_and_its_end_lists_them_again() {
    let mut served = ServedDispatch::start().await;
    let before = served
        .fixture
        .open_case("https://amber.example/before")
        .await;
    let key = served.provider_key("amber", &[]).await;
    assert_eq!(listed_ids(&mut served, &key).await.len(), 1);
    let during = served
        .fixture
        .open_case("https://amber.example/during")
        .await;
    for case_id in [before, during] {
        let held = Body::CaseHeld(v1::CaseHeld::default());
        served.fixture.publish(vec![(case_id, held)]).await;
    }
    assert!(get_notice(&mut served, &key, before).await.is_ok());
    assert!(view_by_link(&mut served, before).await.is_ok());
    let found = get_notice(&mut served, &key, during).await;
    assert_eq!(found.unwrap_err(), "not_found");
    assert_eq!(
        view_by_link(&mut served, during).await.unwrap_err(),
        "link_unknown"
    );
    let hidden = served.fixture.notices(during).await.remove(0);
    assert_eq!(listed_ids(&mut served, &key).await.len(), 1);
    assert!(hidden.delivered_at.is_none());

    let released = Body::CaseReleased(v1::CaseReleased::default());
    served.fixture.publish(vec![(during, released)]).await;
    assert!(
        listed_ids(&mut served, &key)
            .await
            .contains(&hidden.id.to_string())
    );
    let notice = served.fixture.notices(during).await.remove(0);
    assert!(notice.delivered_at.is_some() && notice.listing_position > hidden.listing_position);
    served.fixture.answer(&notice, Answer::Acknowledged).await;
    served.stop().await;
}
