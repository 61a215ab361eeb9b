//! A staff token is valid for at most one minute and for one audience, and cannot be forged, changed or
//! re-encoded.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use platform::principal::{Role, Roles};
use platform::sealed::{
    Keyring, Signer, SigningContext, StaffClaims, StaffTokenIssuer, StaffTokenVerifier, TokenError,
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
    let (unsigned, footer) = token.rsplit_once('.').unwrap();
    for invalid in [
        String::new(),
        "v4.public.".to_owned(),
        unsigned.to_owned(),
        format!("{unsigned}."),
        format!("{token}="),
        format!("{token}A"),
        format!("{token}.{footer}"),
        format!(" {token}"),
        format!("{unsigned}A.{footer}"),
        token.replace("v4.public.", "v4.local."),
        token.replace("v4.public.", "v2.public."),
        "A".repeat(5000),
    ] {
        assert!(
            matches!(verify(&invalid), TokenError::Malformed | TokenError::Forged),
            "{invalid}"
        );
    }

    let payload = serde_json::to_string(&claims).unwrap();
    let verify = |context, payload: &str, footer: &str| {
        verify(&paseto(&keyring.signer(context), payload, footer))
    };
    let (current, kid) = (SigningContext::StaffToken, r#"{"kid":"s-token-2"}"#);
    assert_eq!(
        paseto(&keyring.signer(current), &payload, kid),
        token,
        "the forgeries below differ in what they change only"
    );
    // The token key's id with the key of another context, another context's key with its own id, and the previous
    // key's id with the current key.
    for (context, kid) in [
        (SigningContext::Proof, kid),
        (SigningContext::Proof, r#"{"kid":"s-proof"}"#),
        (current, r#"{"kid":"s-token-1"}"#),
    ] {
        assert_eq!(verify(context, &payload, kid), TokenError::Forged, "{kid}");
    }
    // Correctly signed, but not as we write claims and footers.
    let changed = |from: &str, to: &str| {
        assert!(payload.contains(from));
        payload.replace(from, to)
    };
    for payload in [
        format!("{payload}x"),
        changed("{\"sub\"", "{\"admin\":true,\"sub\""),
        changed("auditor", "owner"),
        changed("\"name\":\"Sam Example\",", ""),
    ] {
        assert_eq!(
            verify(current, &payload, kid),
            TokenError::Malformed,
            "{payload}"
        );
    }
    for footer in ["", "{}", r#"{"kid":"s-token-2","key":"x"}"#, "s-token-2"] {
        assert_eq!(
            verify(current, &payload, footer),
            TokenError::Malformed,
            "{footer}"
        );
    }
    // Correctly signed by a faulty issuer: a lifetime above the limit is refused.
    let lasting = changed("T00:01:00Z", "T01:00:00Z");
    assert_eq!(verify(current, &lasting, kid), TokenError::Expired);
    assert!(StaffTokenIssuer::new(keyring.signer(SigningContext::Notice)).is_none());
}

/// A PASETO v4.public token, as its specification describes it.
fn paseto(signer: &Signer, payload: &str, footer: &str) -> String {
    const HEADER: &str = "v4.public.";
    let mut signed = 4_u64.to_le_bytes().to_vec();
    for part in [HEADER, payload, footer, ""] {
        signed.extend((part.len() as u64).to_le_bytes());
        signed.extend(part.as_bytes());
    }
    let signature = signer.sign_raw(&signed).unwrap();
    let body = URL_SAFE_NO_PAD.encode([payload.as_bytes(), &signature].concat());
    match footer {
        "" => format!("{HEADER}{body}"),
        footer => format!("{HEADER}{body}.{}", URL_SAFE_NO_PAD.encode(footer)),
    }
}
