//! Ten thousand synthetic reports with the expected result: which are refused, and which have the same
//! canonical URL. Failures name reports by id, never by URL.

use std::collections::BTreeMap;
use std::path::Path;

use domain::url::CanonicalUrl;

struct SampleReport {
    id: String,
    url: String,
    accepted: bool,
    case: String,
}

fn sample_reports() -> Vec<SampleReport> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/canonical.csv");
    let mut reader = csv::Reader::from_path(file).unwrap();
    reader
        .records()
        .map(|record| {
            let record = record.unwrap();
            SampleReport {
                id: record[0].to_owned(),
                url: record[1].to_owned(),
                accepted: match &record[2] {
                    "accept" => true,
                    "reject" => false,
                    other => panic!("unknown expectation {other}"),
                },
                case: record[3].to_owned(),
            }
        })
        .collect()
}

#[test]
fn reports_are_accepted_and_refused_as_expected() {
    let reports = sample_reports();
    assert_eq!(reports.len(), 10_000);
    let wrong: Vec<_> = reports
        .iter()
        .filter_map(|report| {
            let parsed = CanonicalUrl::parse(&report.url);
            (parsed.is_ok() != report.accepted).then(|| (&report.id, parsed.err()))
        })
        .collect();
    assert_eq!(wrong, []);
}

#[test]
fn reports_share_a_canonical_url_exactly_when_they_share_a_case() {
    let mut case_of_url = BTreeMap::new();
    let mut url_of_case = BTreeMap::new();
    for report in sample_reports()
        .into_iter()
        .filter(|report| report.accepted)
    {
        let url = CanonicalUrl::parse(&report.url).unwrap();
        let case = case_of_url
            .entry(url.clone())
            .or_insert_with(|| report.case.clone());
        assert_eq!(case, &report.case, "{}: two cases, one URL", report.id);
        let known = url_of_case
            .entry(report.case)
            .or_insert_with(|| url.clone());
        assert!(*known == url, "{}: one case, two URLs", report.id);
    }
    assert_eq!(case_of_url.len(), url_of_case.len());
    assert!(url_of_case.len() > 1_000, "the sample has too few cases");
}

#[test]
fn every_accepted_url_is_read_back_from_its_stored_form() {
    for report in sample_reports()
        .into_iter()
        .filter(|report| report.accepted)
    {
        let url = CanonicalUrl::parse(&report.url).unwrap();
        let stored = CanonicalUrl::from_stored(url.reveal());
        assert!(stored == Ok(url), "{}", report.id);
    }
}
