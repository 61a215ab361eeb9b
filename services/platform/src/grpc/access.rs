//! Checks which role may call which method, before a handler runs. The caller supplies the table. A plain
//! connection, which is possible only on loopback, has no role and is not checked.

use std::collections::HashMap;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::Either;
use http::{Extensions, Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use crate::error::{Kind, Problem};
use crate::tls::{Connection, ServiceRole};

/// A method, such as `takedown.v1.IntakeService/SubmitReports`, and the roles that may call it.
pub type Rule = (&'static str, &'static [&'static str]);

/// The access table. A method that is not in it may not be called.
#[derive(Debug, Clone)]
pub struct Access(Arc<HashMap<&'static str, &'static [&'static str]>>);

impl Access {
    pub fn new(rules: &[Rule]) -> Self {
        Self(Arc::new(rules.iter().copied().collect()))
    }

    /// `path` is the HTTP path, with its leading slash.
    fn allows(&self, role: &ServiceRole, path: &str) -> bool {
        let method = path.strip_prefix('/').unwrap_or(path);
        self.0
            .get(method)
            .is_some_and(|roles| roles.contains(&role.as_str()))
    }
}

/// The authenticated role of the caller; `None` on a plain connection.
pub fn caller(extensions: &Extensions) -> Option<&ServiceRole> {
    extensions.get::<Connection>()?.caller.as_ref()
}

#[derive(Debug, Clone)]
pub(super) struct AccessLayer(pub(super) Option<Access>);

impl<S> Layer<S> for AccessLayer {
    type Service = AccessService<S>;

    fn layer(&self, inner: S) -> AccessService<S> {
        AccessService {
            inner,
            access: self.0.clone(),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct AccessService<S> {
    inner: S,
    access: Option<Access>,
}

impl<S> Service<Request<Body>> for AccessService<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<Body>, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Some(access) = &self.access else {
            return Either::Left(self.inner.call(request));
        };
        let role = caller(request.extensions());
        let path = request.uri().path();
        if role.is_some_and(|role| access.allows(role, path)) {
            return Either::Left(self.inner.call(request));
        }
        tracing::warn!(
            peer.role = role.map(ServiceRole::as_str),
            rpc.method = path,
            "a call was refused: the role of the caller may not make it"
        );
        let problem = Problem::new(
            Kind::Forbidden,
            "role_not_allowed",
            "The certificate of this connection does not allow this call; it is for another role.",
        );
        Either::Right(ready(Ok(Status::from(problem).into_http())))
    }
}
