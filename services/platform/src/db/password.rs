//! Sets the password of a runtime role without sending it to the server: only its SCRAM-SHA-256 verifier (RFC
//! 5802, RFC 7677) is sent, so the password appears in no statement log.

use postgres_protocol::password::scram_sha_256;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{AssertSqlSafe, PgConnection};

use super::{identifier, runtime_role};
use crate::error::{Kind, Problem};

const MIN_LENGTH: usize = 12;

/// Lets the runtime role of `schema` sign in with this password. Needs an administrator's connection.
///
/// # Errors
/// `database_password` when the password is too short or has other characters than printable ASCII.
pub async fn set_password(
    admin: &mut PgConnection,
    schema: &str,
    password: &SecretString,
) -> Result<(), Problem> {
    let password = password.expose_secret();
    // A client may leave out SASLprep (RFC 4013), which does not change printable ASCII.
    if password.len() < MIN_LENGTH || !password.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Problem::new(
            Kind::Invalid,
            "database_password",
            format!(
                "The database password of {schema} must be at least {MIN_LENGTH} characters of printable ASCII without spaces."
            ),
        ));
    }
    let role = runtime_role(identifier(schema).map_err(Problem::from)?);
    let verifier = scram_sha_256(password.as_bytes());
    sqlx::query(AssertSqlSafe(format!(
        "-- set_password\nalter role {role} login password '{verifier}'"
    )))
    .execute(admin)
    .await?;
    Ok(())
}
