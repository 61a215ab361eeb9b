//! Which role may call which method, decided before a handler sees the call. The table comes from outside: nothing here
//! knows a method. On a plain connection, which only loopback has, nobody has proved a role and the table is not asked.

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
use crate::tls::{Connection, Role};

/// A method as it is called, such as `takedown.v1.IntakeService/SubmitReports`, and the roles that may.
pub type Rule = (&'static str, &'static [&'static str]);

/// The whole table. A method that is not in it is nobody's to call.
#[derive(Debug, Clone)]
pub struct Access(Arc<HashMap<&'static str, &'static [&'static str]>>);

impl Access {
    pub fn new(rules: &[Rule]) -> Self {
        Self(Arc::new(rules.iter().copied().collect()))
    }

    /// `path` as HTTP has it, with its first slash.
    fn allows(&self, role: &Role, path: &str) -> bool {
        let method = path.strip_prefix('/').unwrap_or(path);
        self.0
            .get(method)
            .is_some_and(|roles| roles.contains(&role.as_str()))
    }
}

/// The role that proved itself on the connection of a call: for handlers that must know which it is. None on a plain
/// connection.
pub fn caller(extensions: &Extensions) -> Option<&Role> {
    extensions.get::<Connection>()?.caller.as_ref()
}

#[derive(Debug, Clone)]
pub(super) struct AccessLayer(pub(super) Option<Access>);

impl<S> Layer<S> for AccessLayer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded {
            inner,
            access: self.0.clone(),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Guarded<S> {
    inner: S,
    access: Option<Access>,
}

impl<S> Service<Request<Body>> for Guarded<S>
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
            peer.role = role.map(Role::as_str),
            rpc.method = path,
            "a call was refused: its role may not make it"
        );
        let problem = Problem::new(
            Kind::Forbidden,
            "role_not_allowed",
            "The certificate of this connection does not allow this call; it is for another role.",
        );
        Either::Right(ready(Ok(Status::from(problem).into_http())))
    }
}
