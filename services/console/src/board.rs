//! The figures of all four owners at one moment, shared by everybody who watches: they are asked at most once a refresh,
//! however many pages are open. A part that does not answer is missing by name; the others are shown.

use std::sync::Arc;
use std::time::Duration;

use platform::error::{Kind, Problem};
use proto::v1;
use time::OffsetDateTime;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::edge::Edge;
use crate::lag::{Gap, Lag};
use crate::refused::Refused;
use crate::session::Signed;
use crate::still::{Cursors, Standing};

/// Owners that are slow are asked less often: they work for pages at most one part in so many.
const SHARE: u32 = 5;

/// One owner's answer, or why it is missing.
pub(crate) type Part<T> = Result<T, Problem>;

pub(crate) struct Board {
    pub(crate) intake: Part<v1::GetIntakeCountsResponse>,
    pub(crate) verification: Part<v1::GetVerificationCountsResponse>,
    pub(crate) dispatch: Part<v1::GetDispatchCountsResponse>,
    pub(crate) ledger: Part<v1::GetConservationResponse>,
    /// Intake's count against the ledger's; none while one of them does not answer.
    pub(crate) gap: Option<Gap>,
    /// Who hears whom, and how far.
    pub(crate) standing: Vec<Standing>,
    pub(crate) at: OffsetDateTime,
}

struct Kept {
    board: Arc<Board>,
    until: Instant,
}

#[derive(Default)]
pub(crate) struct Latest(Mutex<Looks>);

#[derive(Default)]
struct Looks {
    kept: Option<Kept>,
    lag: Lag,
    cursors: Cursors,
}

impl Edge {
    /// The board as it is now, give or take a refresh. Everybody who may sign in may read it.
    pub(crate) async fn board(&self, signed: &Signed) -> Result<Arc<Board>, Refused> {
        let mut looks = self.board.0.lock().await;
        let asked = Instant::now();
        if let Some(kept) = &looks.kept
            && kept.until > asked
        {
            return Ok(kept.board.clone());
        }
        let mut board = self.look(signed).await?;
        board.gap = board.accepted_and_standing().map(|(accepted, standing)| {
            let gap = looks.lag.look(Instant::now(), accepted, standing);
            if gap.lost > 0 {
                tracing::error!(
                    alarm = "reports_lost",
                    reports = gap.lost,
                    "the ledger has not heard of what intake accepted"
                );
            }
            gap
        });
        board.standing = looks.cursors.look(Instant::now(), board.signs_by_role());
        let board = Arc::new(board);
        let took = asked.elapsed();
        looks.kept = Some(Kept {
            board: board.clone(),
            until: asked + self.config().refresh().max(took * SHARE) - Duration::from_millis(20),
        });
        Ok(board)
    }

    async fn look(&self, signed: &Signed) -> Result<Board, Refused> {
        let (intake, verification, dispatch, ledger) = futures::join!(
            async {
                let mut client = self.intake(signed).await?;
                let request = v1::GetIntakeCountsRequest {};
                self.ask(client.get_intake_counts(request)).await
            },
            async {
                let mut client = self.verification(signed).await?;
                let request = v1::GetVerificationCountsRequest {};
                self.ask(client.get_verification_counts(request)).await
            },
            async {
                let mut client = self.dispatch(signed).await?;
                let request = v1::GetDispatchCountsRequest {};
                self.ask(client.get_dispatch_counts(request)).await
            },
            async {
                let mut client = self.ledger(signed).await?;
                let request = v1::GetConservationRequest {};
                self.ask(client.get_conservation(request)).await
            },
        );
        Ok(Board {
            intake: part(intake)?,
            verification: part(verification)?,
            dispatch: part(dispatch)?,
            ledger: part(ledger)?,
            gap: None,
            standing: Vec::new(),
            at: platform::clock::wall(),
        })
    }
}

impl Board {
    /// What the owners say of how their work goes on.
    pub(crate) fn signs(&self) -> impl Iterator<Item = &v1::Sign> {
        self.signs_by_role().map(|(_, sign)| sign)
    }

    pub(crate) fn signs_by_role(&self) -> impl Iterator<Item = (&'static str, &v1::Sign)> + Clone {
        let intake = self.intake.as_ref().ok().map(|of| &of.signs);
        let verification = self.verification.as_ref().ok().map(|of| &of.signs);
        let dispatch = self.dispatch.as_ref().ok().map(|of| &of.signs);
        let ledger = self.ledger.as_ref().ok().map(|of| &of.signs);
        with("intake", intake)
            .chain(with("verification", verification))
            .chain(with("dispatch", dispatch))
            .chain(with("ledger", ledger))
    }

    fn accepted_and_standing(&self) -> Option<(u64, u64)> {
        let (intake, ledger) = (self.intake.as_ref().ok()?, self.ledger.as_ref().ok()?);
        let standing = ledger.stages.iter().map(|stage| stage.reports).sum();
        Some((intake.accepted, standing))
    }
}

/// Somebody whose credential does not hold sees nothing at all; any other failure is a missing part.
pub(crate) fn part<T>(answer: Result<T, Problem>) -> Result<Part<T>, Refused> {
    match answer {
        Err(problem) if problem.kind == Kind::Unauthenticated => Err(problem.into()),
        part => Ok(part),
    }
}

fn with<'a>(
    role: &'static str,
    signs: Option<&'a Vec<v1::Sign>>,
) -> impl Iterator<Item = (&'static str, &'a v1::Sign)> + Clone {
    let signs = signs.map(Vec::as_slice).unwrap_or_default();
    signs.iter().map(move |sign| (role, sign))
}
