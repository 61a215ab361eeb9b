//! The link in a mail. Viewing a notice by it changes nothing; an answer by it counts as the provider's.

use domain::enums::Answer;
use domain::id::{NoticeId, ProviderId};
use platform::error::Problem;
use proto::v1;
use tonic::metadata::MetadataMap;

use crate::Error;
use crate::cases::store::NoticeContent;
use crate::delivery::link;
use crate::grpc::Handlers;

impl Handlers {
    pub(crate) async fn view_by_link(
        &self,
        _: &MetadataMap,
        request: v1::ViewByLinkRequest,
    ) -> Result<v1::ViewByLinkResponse, Error> {
        let (content, now) = self.by_link(&request.token).await?;
        Ok(v1::ViewByLinkResponse {
            notice: Some(self.notice_to_proto(&content, now)),
            answered: content.answer.map(Answer::wire).unwrap_or_default(),
        })
    }

    pub(crate) async fn answer_by_link(
        &self,
        _: &MetadataMap,
        request: v1::AnswerByLinkRequest,
    ) -> Result<v1::AnswerByLinkResponse, Error> {
        use v1::answer_result::Result as ItemResult;
        let (content, _) = self.by_link(&request.token).await?;
        let mut item = request
            .answer
            .ok_or_else(|| domain::Invalid::missing("answer"))?;
        // The token identifies the notice; a notice id in the request is ignored.
        let (notice, provider): (NoticeId, ProviderId) = (content.notice_id, content.provider_id);
        item.notice_id = notice.to_string();
        let mut response = self.submit_answer(provider, item).await?;
        match response.results.pop().and_then(|result| result.result) {
            Some(ItemResult::State(state)) => Ok(v1::AnswerByLinkResponse { state }),
            Some(ItemResult::Problem(problem)) => {
                let field = problem.field.replacen("answers[0]", "answer", 1);
                let kind = if problem.code == "not_found" {
                    platform::error::Kind::NotFound
                } else {
                    platform::error::Kind::Invalid
                };
                Err(Problem::new(kind, problem.code, problem.detail)
                    .field(field)
                    .into())
            }
            None => Err(Problem::from_kind(platform::error::Kind::Internal).into()),
        }
    }

    async fn by_link(&self, token: &str) -> Result<(NoticeContent, time::OffsetDateTime), Error> {
        if token.is_empty() {
            return Err(domain::Invalid::missing("token").into());
        }
        let link = link::parse(token)?;
        let mut conn = self.pool.acquire().await?;
        let mut found = self.showable_notices(&mut conn, &[link.notice_id]).await?;
        let content = found.pop().ok_or_else(link::unknown)?;
        let now = self.clock.now(&mut conn).await?;
        link.check(&self.deps.keyring, &content.provider_id, now)?;
        Ok((content, now))
    }
}
