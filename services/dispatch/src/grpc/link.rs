//! The link in a mail. Looking changes nothing, whoever looks; answering is the provider's word.

use domain::id::{NoticeId, ProviderId};
use domain::word::Answer;
use platform::error::Problem;
use proto::v1;
use tonic::metadata::MetadataMap;

use super::Inner;
use crate::store::Content;
use crate::{Error, link};

impl Inner {
    pub(super) async fn view_by_link(
        &self,
        _: &MetadataMap,
        request: v1::ViewByLinkRequest,
    ) -> Result<v1::ViewByLinkResponse, Error> {
        let (content, now) = self.by_link(&request.token).await?;
        Ok(v1::ViewByLinkResponse {
            notice: Some(self.notice(&content, now)),
            answered: content.answer.map(Answer::wire).unwrap_or_default(),
        })
    }

    pub(super) async fn answer_by_link(
        &self,
        _: &MetadataMap,
        request: v1::AnswerByLinkRequest,
    ) -> Result<v1::AnswerByLinkResponse, Error> {
        use v1::answer_result::Result as Said;
        let (content, _) = self.by_link(&request.token).await?;
        let mut item = request
            .answer
            .ok_or_else(|| domain::Invalid::missing("answer"))?;
        // The token names the notice; what the form says of it does not count.
        let (notice, provider): (NoticeId, ProviderId) = (content.notice_id, content.provider_id);
        item.notice_id = notice.to_string();
        let mut answered = self.answer_one(provider, item).await?;
        match answered.results.pop().and_then(|result| result.result) {
            Some(Said::State(state)) => Ok(v1::AnswerByLinkResponse { state }),
            Some(Said::Problem(problem)) => {
                let field = problem.field.replacen("items[0]", "answer", 1);
                let kind = if problem.code == "not_found" {
                    platform::error::Kind::NotFound
                } else {
                    platform::error::Kind::Invalid
                };
                Err(Problem::new(kind, problem.code, problem.detail)
                    .field(field)
                    .into())
            }
            None => Err(Problem::of(platform::error::Kind::Internal).into()),
        }
    }

    async fn by_link(&self, token: &str) -> Result<(Content, time::OffsetDateTime), Error> {
        if token.is_empty() {
            return Err(domain::Invalid::missing("token").into());
        }
        let link = link::parse(token)?;
        let mut conn = self.pool.acquire().await?;
        let mut found = self.shown(&mut conn, &[link.notice_id]).await?;
        let content = found.pop().ok_or_else(link::unknown)?;
        let now = self.clock.now(&mut conn).await?;
        link.check(&self.rules.keyring, &content.provider_id, now)?;
        Ok((content, now))
    }
}
