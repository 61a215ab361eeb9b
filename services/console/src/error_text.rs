//! What pages write about a refusal or a failure, in the words of the pages and with the next step.
//!
//! A problem's own detail addresses programs that call the API: it is never shown. Every refusal of
//! verification has a sentence here; any other code without one gets the sentence of its kind.

use platform::error::{Kind, Problem};

/// The heading of an error page or of a refusal.
pub(crate) fn title(problem: &Problem) -> &'static str {
    match problem.code.as_ref() {
        "form_token" | "other_site" => return "This form was not accepted",
        "page_unknown" => return "There is no such page",
        "case_unknown" => return "There is no such case",
        _ => {}
    }
    match problem.kind {
        Kind::Invalid => "Please check what you entered",
        Kind::NotFound => "Not found",
        Kind::Unauthenticated => "Please sign in",
        Kind::Forbidden => "Your roles do not allow this",
        Kind::Conflict | Kind::FailedPrecondition => "Not possible now",
        Kind::Exhausted => "A limit is reached",
        Kind::Unavailable => "A part of the system does not respond",
        Kind::Internal => "An error in our system",
    }
}

/// A sentence for a problem.
pub(crate) fn sentence(problem: &Problem) -> String {
    let field = problem.field.as_deref().unwrap_or_default();
    if let Some(sentence) = field_sentence(&problem.code, field) {
        return sentence;
    }
    code_sentence(&problem.code)
        .unwrap_or_else(|| kind_sentence(problem.kind))
        .to_owned()
}

/// Whether the case of the refused form is out of reach, so that the next one is offered.
pub(crate) fn offers_next_case(problem: &Problem) -> bool {
    matches!(
        problem.code.as_ref(),
        "case_claimed" | "case_not_waiting" | "another_analyst_needed"
    )
}

/// Problems of one form field, by its name in the form.
fn field_sentence(code: &str, field: &str) -> Option<String> {
    let name = match field {
        "reason" => "a reason",
        "text" => "an answer",
        "until" => "the end of the police hold",
        "url" => "a URL",
        "ref" | "reference" | "external_id" => "a reference",
        "verdict" => "a verdict",
        _ => "a value",
    };
    Some(match code {
        "field_missing" => format!("Enter {name}."),
        "field_too_long" => match field {
            "reason" => "The reason is too long. Shorten it to 500 characters.".to_owned(),
            "text" => "The answer is too long. Shorten it to 2,000 characters.".to_owned(),
            _ => "What you entered is too long. Shorten it.".to_owned(),
        },
        "field_control_character" => {
            "What you entered contains an invisible control character. Type the text again."
                .to_owned()
        }
        _ => return None,
    })
}

fn code_sentence(code: &str) -> Option<&'static str> {
    Some(match code {
        // The console itself.
        "page_unknown" => "There is no page at this address. Use the menu.",
        "method_unknown" => {
            "This address does not accept this kind of request. Open the page and use its forms."
        }
        "query_malformed" => "This address is not complete or not valid. Use the menu.",
        "form_incomplete" => {
            "The form was not complete, or too long. Open the page again and fill in every field."
        }
        "form_token" => {
            "It belongs to another session. Open the page again and send it from there."
        }
        "other_site" => "It came from another website. Open the console and do it there.",
        "busy" => "The console is busy. Try again in a moment.",
        "streams_full" => {
            "The console cannot update more pages at the moment. Load this page again to see newer figures."
        }
        "verdict_missing" => "Choose a verdict.",
        "time_malformed" => "Enter when the police hold ends, for example 2026-03-01 12:00.",
        "search_has_url" => {
            "This is a URL. It is in the right field now: press \u{201c}Find by URL\u{201d}. The field above would show it in the address bar."
        }

        // Names and numbers in addresses and searches.
        "case_unknown" => {
            "There is no case with this number. Check it, or find the case by a report's reference."
        }
        "id_malformed" => {
            "This is not a valid number of a case or notice. Check it, or find the case by a report's reference."
        }
        "reference_malformed" => {
            "A reference has 20 letters and digits, such as 7K2QX-M04DZ-9R1TB-EWH5C. Copy it from the receipt."
        }
        "provider_id_malformed" => {
            "There is no provider with this name. Choose one from the list of providers."
        }
        "not_found" => "There is nothing at this address. Use the menu, or search.",
        "list_unknown" => {
            "This version of the list is no longer there. The table shows the present ones."
        }
        "rule_unknown" => "This rule is no longer there. The table shows the present ones.",
        "page_token_malformed" => {
            "This page of the list is no longer there. Start with the first page."
        }
        "value_unknown" => "There is no such filter. Choose one from the list.",

        // URLs.
        "url_several" => "Enter one URL only.",
        "url_too_long" => "This URL is too long. Enter at most 8,192 characters.",
        "url_scheme_not_allowed" => "Only URLs that begin with http:// or https:// can be found.",
        "url_private_name" | "url_private_address" | "url_single_label" => {
            "This URL is not on the public internet. Check the host name."
        }
        "url_user_information" => {
            "This URL contains a user name. Enter it without the part before the @."
        }
        "url_onion_invalid" => "This onion address is not valid. Copy it again.",
        "url_empty"
        | "url_not_a_url"
        | "url_no_host"
        | "url_host_invalid"
        | "url_host_too_long"
        | "url_label_empty"
        | "url_label_too_long"
        | "url_port_invalid"
        | "url_control_character"
        | "url_not_canonical" => {
            "This is not a complete URL. Enter it as it was reported, for example https://host.example/page."
        }

        // Claims.
        "case_claimed" => "Another member of staff has claimed this case. Claim another one.",
        "case_not_waiting" => {
            "This case is not waiting for a decision. Its page shows what was decided."
        }
        "case_not_claimed" => "You have not claimed this case. Claim it first.",
        "claim_lost" | "claim_spent" => {
            "Your claim on this case has ended. Check what the page shows now; claim the case again if it is waiting."
        }
        "claim_expired" => "Your claim on this case has expired. Claim it again.",
        "another_analyst_needed" => {
            "You reported this case or gave its first verdict. Another analyst has to decide it."
        }
        "role_required" | "role_not_allowed" | "scope_required" => {
            "Your roles do not include this. Ask a supervisor."
        }

        // Verdicts.
        "version_stale" => {
            "The case has changed since you opened it. Check what the page shows now, then record your verdict again."
        }
        "verdict_does_not_fit" => {
            "This verdict is not one that the case can have now. Choose one that the page offers."
        }
        "page_not_in_question" => {
            "No review about a changed page is open for this case. Choose another verdict."
        }
        "case_undecided" => "This case has no verdict that could be withdrawn.",
        "verdict_stands" => {
            "This case has a verdict. Withdraw it before the case is assessed again."
        }
        "undo_not_yours" => {
            "You can withdraw a verdict that you gave alone, for a short time and while it is not under review. Ask a supervisor to withdraw this one."
        }
        "withdraw_by_another" => {
            "You gave or confirmed this verdict. By the rules of this hotline another supervisor has to withdraw it."
        }
        "exposure_budget_spent" => {
            "You have revealed as many URLs as a shift allows. Ask a colleague to continue with this case."
        }

        // Police holds.
        "case_on_hold" => "This case is on police hold. A supervisor has to lift it first.",
        "case_not_on_hold" => "This case is not on police hold.",
        "hold_until_past" => "The end of the police hold is in the past. Enter a later time.",

        // Lists, rules and answers to providers.
        "approver_is_importer" => {
            "You added hashes to this version. Another supervisor has to approve it."
        }
        "approver_is_proposer" => "You proposed this rule. Another supervisor has to approve it.",
        "rule_retired" => "This rule is retired. Propose a new one.",
        "list_changed" => {
            "The list has changed since you opened this page. Check it and approve it again."
        }
        "rule_changed" => {
            "The rule has changed since you opened this page. Check it and approve it again."
        }
        "no_open_question" => {
            "The provider has no open question about this notice: it was answered already, or withdrawn."
        }

        // Signing in.
        "sign_in_refused" => "The name or the password is wrong. Try again.",
        "sign_in_later" => {
            "There were too many failed attempts with this name. Wait before you try again."
        }

        _ => return None,
    })
}

const fn kind_sentence(kind: Kind) -> &'static str {
    match kind {
        Kind::Invalid => "Something in what you entered is not valid. Check it and try again.",
        Kind::NotFound => "There is nothing at this address. Use the menu, or search.",
        Kind::Unauthenticated => "Your session has ended. Sign in again.",
        Kind::Forbidden => "Your roles do not include this. Ask a supervisor.",
        Kind::Conflict | Kind::FailedPrecondition => {
            "This is not possible in the present state. Check what the page shows now."
        }
        Kind::Exhausted => {
            "There are too many requests at the moment. Wait a moment and try again."
        }
        Kind::Unavailable => "It does not respond at the moment. Try again in a moment.",
        Kind::Internal => {
            "Nothing that you entered caused it. Try again, and report it if it happens again."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Refusals of calls that the console does not make.
    const OF_OTHER_CALLERS: [&str; 6] = [
        "staff_unknown",
        "name_taken",
        "own_account",
        "credential_missing",
        "credential_invalid",
        "session_over",
    ];

    #[test]
    fn every_refusal_of_verification_has_a_sentence() {
        let source = include_str!("../../verification/src/error.rs");
        let (_, list) = source.split_once("\nrefusals! {").unwrap();
        let (list, _) = list.split_once("\n}").unwrap();
        let rows = list.lines().filter(|line| line.trim_end().ends_with("\";"));
        let codes: Vec<&str> = rows.map(|row| row.split('"').nth(1).unwrap()).collect();
        assert!(codes.len() > 25, "the refusals were not read");
        let missing: Vec<_> = codes
            .iter()
            .filter(|code| code_sentence(code).is_none() && !OF_OTHER_CALLERS.contains(code))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn a_field_is_named_as_on_the_page_and_a_detail_for_programs_is_not_shown() {
        let missing =
            Problem::new(Kind::Invalid, "field_missing", "`reason` is required").field("reason");
        assert_eq!(sentence(&missing), "Enter a reason.");
        let unknown = Problem::new(Kind::Conflict, "quite_new", "send `next_cursor`");
        assert_eq!(sentence(&unknown), kind_sentence(Kind::Conflict));
    }

    #[test]
    fn no_sentence_has_api_terms() {
        let source = include_str!("error_text.rs");
        let (sentences, _) = source.split_once("#[cfg(test)]").unwrap();
        for jargon in [
            "`case",
            "case_id`",
            "UUID",
            "null",
            "credential in",
            "cursor`",
        ] {
            assert!(!sentences.contains(jargon), "{jargon}");
        }
    }
}
