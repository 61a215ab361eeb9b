//! What a provider may look up is what might be sent to it: on a true proof, and not during a hold.

use domain::event::Body;
use domain::id::CaseId;
use domain::word::{Answer, NoticeState};
use platform::error::Problem;
use proto::v1;

use crate::grpc::{Served, with};

async fn listed(served: &mut Served, key: &str) -> Vec<String> {
    let page = served
        .client
        .list_notices(with(key, v1::ListNoticesRequest::default()))
        .await;
    let notices = page.unwrap().into_inner().notices;
    notices.into_iter().map(|notice| notice.notice_id).collect()
}

async fn read(served: &mut Served, key: &str, case_id: CaseId) -> Result<v1::Notice, String> {
    let notice_id = served.bench.notices(case_id).await[0].id.to_string();
    let request = v1::GetNoticeRequest { notice_id };
    match served.client.get_notice(with(key, request)).await {
        Ok(found) => Ok(found.into_inner().notice.unwrap()),
        Err(status) => Err(Problem::from(status).code.into_owned()),
    }
}

async fn view(served: &mut Served, case_id: CaseId) -> Result<v1::Notice, String> {
    let notice = served.bench.notices(case_id).await.remove(0);
    let end = served.bench.now() + time::Duration::DAY;
    let keyring = &served.bench.rules.keyring;
    let token = dispatch::link::token(keyring, notice.id, &notice.provider_id, end);
    let request = v1::ViewByLinkRequest { token };
    match served.client.view_by_link(request).await {
        Ok(found) => Ok(found.into_inner().notice.unwrap()),
        Err(status) => Err(Problem::from(status).code.into_owned()),
    }
}

#[tokio::test]
async fn a_row_written_by_hand_shows_nothing_and_costs_no_other_its_turn() {
    for forgery in [
        "update case_seal set proof_signature = decode(repeat('00', 64), 'hex') where case_id = $1",
        "update case_seal set sealed_item = decode('00', 'hex') where case_id = $1",
    ] {
        let mut served = Served::start().await;
        let forged = served.bench.act("https://amber.example/forged").await;
        let good = served.bench.act("https://amber.example/good").await;
        sqlx::query(sqlx::AssertSqlSafe(forgery))
            .bind(forged.uuid())
            .execute(&served.bench.pool)
            .await
            .unwrap();
        let key = served.key("amber", &[]).await;
        let wanted = served.bench.notices(good).await[0].id.to_string();
        assert_eq!(listed(&mut served, &key).await, [wanted], "{forgery}");
        let found = read(&mut served, &key, forged).await;
        assert_eq!(found.unwrap_err(), "not_found", "{forgery}");
        let found = view(&mut served, forged).await;
        assert_eq!(found.unwrap_err(), "link_unknown", "{forgery}");
        let unread = &served.bench.notices(forged).await[0];
        assert_eq!(unread.state, NoticeState::Sent, "it is not delivered");
        served.stop().await;
    }
}

#[tokio::test]
async fn a_hold_hides_what_was_not_read_before_it_and_its_end_lists_it_anew() {
    let mut served = Served::start().await;
    let before = served.bench.act("https://amber.example/before").await;
    let key = served.key("amber", &[]).await;
    assert_eq!(listed(&mut served, &key).await.len(), 1);
    let during = served.bench.act("https://amber.example/during").await;
    for case_id in [before, during] {
        let held = Body::CaseHeld(v1::CaseHeld::default());
        served.bench.say(vec![(case_id, held)]).await;
    }
    assert!(read(&mut served, &key, before).await.is_ok());
    assert!(view(&mut served, before).await.is_ok());
    let found = read(&mut served, &key, during).await;
    assert_eq!(found.unwrap_err(), "not_found");
    assert_eq!(view(&mut served, during).await.unwrap_err(), "link_unknown");
    let hidden = served.bench.notices(during).await.remove(0);
    assert_eq!(listed(&mut served, &key).await.len(), 1);
    assert!(hidden.delivered_at.is_none());

    let released = Body::CaseReleased(v1::CaseReleased::default());
    served.bench.say(vec![(during, released)]).await;
    assert!(
        listed(&mut served, &key)
            .await
            .contains(&hidden.id.to_string())
    );
    let notice = served.bench.notices(during).await.remove(0);
    assert!(notice.delivered_at.is_some() && notice.feed > hidden.feed);
    served.bench.answer(&notice, Answer::Acknowledged).await;
    served.stop().await;
}
