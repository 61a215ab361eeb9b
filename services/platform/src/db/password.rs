//! Sets the password of a runtime role without sending it to the server: only its SCRAM-SHA-256 verifier (RFC
//! 5802, RFC 7677) is sent, so the password appears in no statement log.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use sqlx::{AssertSqlSafe, PgConnection};

use super::{identifier, runtime_role};
use crate::error::{Kind, Problem};
use crate::sealed::random;

/// Same as the server's `password_encryption`.
const ITERATIONS: u32 = 4096;
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
    // SASLprep (RFC 4013) is skipped, because it does not change printable ASCII.
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
    let verifier = verifier(password.as_bytes(), &random::<16>());
    sqlx::query(AssertSqlSafe(format!(
        "-- set_password\nalter role {role} login password '{verifier}'"
    )))
    .execute(admin)
    .await?;
    Ok(())
}

/// The stored form: `SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>`.
fn verifier(password: &[u8], salt: &[u8]) -> String {
    let salted = salted_password(password, salt);
    let stored = Sha256::digest(mac(&salted, &[b"Client Key"]));
    let server = mac(&salted, &[b"Server Key"]);
    format!(
        "SCRAM-SHA-256${ITERATIONS}:{}${}:{}",
        STANDARD.encode(salt),
        STANDARD.encode(stored),
        STANDARD.encode(server)
    )
}

/// `Hi` of RFC 5802, section 2.2: one block of PBKDF2.
fn salted_password(password: &[u8], salt: &[u8]) -> [u8; 32] {
    let mut block = mac(password, &[salt, &1_u32.to_be_bytes()]);
    let mut result = block;
    for _ in 1..ITERATIONS {
        block = mac(password, &[&block]);
        for (byte, more) in result.iter_mut().zip(block) {
            *byte ^= more;
        }
    }
    result
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The salt and keys of RFC 7677, section 3: the proof and signature given there follow from these keys.
    #[test]
    fn the_verifier_matches_the_test_vector_of_rfc_7677() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        assert_eq!(
            verifier(b"pencil", &salt),
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        );
    }
}
