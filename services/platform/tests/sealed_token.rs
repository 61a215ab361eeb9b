//! A staff token is valid for at most one minute and for one audience, and cannot be forged, changed or
//! re-encoded.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use platform::principal::{Role, Roles};
use platform::sealed::{
    Keyring, SigningContext, StaffClaims, StaffTokenIssuer, StaffTokenVerifier, TokenError,
};
use serde_json::Value;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

const CASE: Uuid = Uuid::from_u128(1);
const ROW: Uuid = Uuid::from_u128(2);

fn keyring() -> Keyring {
    let all: Value = serde_json::from_str(include_str!("../testdata/vectors.json")).unwrap();
    Keyring::parse(&all["keyring"].to_string()).unwrap()
}

fn claims() -> StaffClaims {
    let issued_at = OffsetDateTime::from_unix_timestamp(1_767_225_600).unwrap();
    StaffClaims {
        subject: CASE,
        name: "Sam Example".to_owned(),
        roles: Roles::from_iter([Role::Auditor]),
        session: ROW,
        audience: "dispatch".to_owned(),
        issued_at,
        expires_at: issued_at + Duration::seconds(60),
    }
}

fn verifier(audience: &str) -> StaffTokenVerifier {
    let verifier = keyring().verifier(SigningContext::StaffToken);
    StaffTokenVerifier::new(verifier, audience).unwrap()
}

#[test]
fn a_staff_token_is_refused_outside_its_validity_period_and_for_another_audience() {
    let issuer = StaffTokenIssuer::new(keyring().signer(SigningContext::StaffToken)).unwrap();
    let claims = claims();
    let token = issuer.issue(&claims).unwrap();
    let after = |seconds| claims.issued_at + Duration::seconds(seconds);
    let verify = |seconds| verifier("dispatch").verify(&token, after(seconds));
    assert_eq!(verify(59).unwrap(), claims);
    assert_eq!(verify(60), Err(TokenError::Expired));
    assert_eq!(verify(-5).unwrap(), claims);
    assert_eq!(verify(-6), Err(TokenError::NotYetValid));
    assert_eq!(
        verifier("ledger").verify(&token, after(0)),
        Err(TokenError::OtherAudience)
    );
    let mut lasting = claims.clone();
    lasting.expires_at = after(61);
    assert_eq!(issuer.issue(&lasting), Err(TokenError::NotIssuable));
    lasting.expires_at = after(0);
    assert_eq!(issuer.issue(&lasting), Err(TokenError::NotIssuable));
    assert!(!format!("{claims:?}").contains("Sam"));
}

#[test]
fn a_forged_changed_or_re_encoded_staff_token_is_refused() {
    let keyring = keyring();
    let issuer = StaffTokenIssuer::new(keyring.signer(SigningContext::StaffToken)).unwrap();
    let claims = claims();
    let token = issuer.issue(&claims).unwrap();
    let verify = |token: &str| {
        verifier("dispatch")
            .verify(token, claims.issued_at)
            .unwrap_err()
    };
    let (payload, signature) = token.split_once('.').unwrap();
    for invalid in [
        String::new(),
        ".".to_owned(),
        payload.to_owned(),
        format!("{token}="),
        format!("{token}A"),
        format!("{token}.{signature}"),
        format!(" {token}"),
        format!("{payload}A.{signature}"),
        "A".repeat(5000),
    ] {
        assert!(
            matches!(verify(&invalid), TokenError::Malformed | TokenError::Forged),
            "{invalid}"
        );
    }
    assert_eq!(verify(&format!("{payload}.")), TokenError::Forged);

    let bytes = URL_SAFE_NO_PAD.decode(payload).unwrap();
    let signed_by = |context, bytes: &[u8]| {
        let signature = keyring.signer(context).sign(bytes);
        format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(bytes),
            URL_SAFE_NO_PAD.encode(signature)
        )
    };
    // Claims that name the token key, signed by the key of another context.
    assert_eq!(
        verify(&signed_by(SigningContext::Proof, &bytes)),
        TokenError::Forged
    );
    // Claims that name another context's key, signed by that key.
    let renamed = [
        &[1, 7],
        b"s-proof".as_slice(),
        &bytes[2 + bytes[1] as usize..],
    ]
    .concat();
    assert_eq!(
        verify(&signed_by(SigningContext::Proof, &renamed)),
        TokenError::Forged
    );
    // Claims that name the previous key, signed by the current one.
    let mut previous = bytes.clone();
    previous[10] = b'1';
    assert_eq!(
        verify(&signed_by(SigningContext::StaffToken, &previous)),
        TokenError::Forged
    );
    // Correctly signed claims with trailing bytes, an unknown format or an unknown role.
    let longer = [bytes.as_slice(), b"x"].concat();
    assert_eq!(
        verify(&signed_by(SigningContext::StaffToken, &longer)),
        TokenError::Malformed
    );
    let mut format = bytes.clone();
    format[0] = 2;
    assert_eq!(
        verify(&signed_by(SigningContext::StaffToken, &format)),
        TokenError::Malformed
    );
    let mut roles = bytes.clone();
    roles[2 + bytes[1] as usize + 32] = 0x10;
    assert_eq!(
        verify(&signed_by(SigningContext::StaffToken, &roles)),
        TokenError::Malformed
    );
    // Correctly signed by a faulty issuer: a lifetime above the limit is refused.
    let mut lasting = bytes.clone();
    let expires = 2 + bytes[1] as usize + 33 + 8;
    let later = (claims.issued_at + Duration::hours(1)).unix_timestamp();
    lasting[expires..expires + 8].copy_from_slice(&later.to_be_bytes());
    assert_eq!(
        verify(&signed_by(SigningContext::StaffToken, &lasting)),
        TokenError::Expired
    );
    assert!(StaffTokenIssuer::new(keyring.signer(SigningContext::Notice)).is_none());
}
