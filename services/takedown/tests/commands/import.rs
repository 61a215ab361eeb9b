//! `report import`: each row gets one line, however often the import was aborted.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use crate::program::RunningSystem;

const ROWS: usize = 300;

/// Valid and invalid rows; some have the same URL.
fn file() -> Vec<u8> {
    let mut bytes =
        b"external_id,channel,url,sha256,age_band,media,received_at,reporter_country\n".to_vec();
    for n in 0..ROWS {
        let row = match n % 10 {
            0 => format!("R-{n},public\n").into_bytes(),
            1 => [
                format!("R-{n},public,https://h.example/").as_bytes(),
                b"\xff,,,,,\n",
            ]
            .concat(),
            2 => format!("R-{n},public,ftp://h.example/{n},,,,,\n").into_bytes(),
            3 => format!("R-{n},report_remove,https://h.example/{n},,13_15,image,,\n").into_bytes(),
            _ => format!(
                "R-{n},public,https://h{}.example/p,,,video,2026-03-01T00:00:49Z,GB\n",
                n % 50
            )
            .into_bytes(),
        };
        bytes.extend(row);
    }
    bytes
}

fn lines(path: &Path) -> BTreeMap<String, Vec<String>> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), ROWS, "one line per row");
    rows.iter()
        .map(|row| {
            let row: Vec<String> = row.iter().map(str::to_owned).collect();
            (row[0].clone(), row)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_row_gets_one_line_however_often_the_import_was_aborted() {
    let up = RunningSystem::start().await;
    let (rows, out) = (up.path("rows.csv"), up.path("out.csv"));
    std::fs::write(&rows, file()).unwrap();
    let (rows, out_arg) = (rows.to_str().unwrap(), out.to_str().unwrap());
    let import = ["report", "import", rows, "--out", out_arg];
    let summary = up.json(&import);
    assert_eq!(summary["accepted"], 210, "{summary}");
    assert_eq!(summary["refused"], 90);

    let first = lines(&out);
    assert_eq!(first["R-0"][1..3], ["refused", "row_malformed"]);
    assert_eq!(first["R-1"][1..3], ["refused", "row_not_utf8"]);
    assert_eq!(first["R-2"][1], "refused");
    assert_eq!(first["R-3"][1], "accepted");
    assert_eq!(
        first["R-54"][4], first["R-104"][4],
        "the same URL is the same case"
    );

    // Interrupted anywhere, also within a line: the next run writes every line, and nothing is reported twice.
    let complete = std::fs::read(&out).unwrap();
    for cut in [0, 30, complete.len() / 2, complete.len()] {
        std::fs::write(&out, &complete[..cut]).unwrap();
        // Complete lines count as imported before: not the headings, nor what follows the last line's end.
        let parts = complete[..cut].split(|byte| *byte == b'\n').count();
        let again = up.json(&import);
        assert_eq!(
            again["passed_over"],
            parts.saturating_sub(2),
            "cut at {cut}"
        );
        assert_eq!(again["changed"], 0, "cut at {cut}");
        let counts = ["accepted", "refused", "passed_over"].map(|key| again[key].as_u64().unwrap());
        assert_eq!(counts.iter().sum::<u64>(), ROWS as u64, "cut at {cut}");
        assert_eq!(std::fs::read(&out).unwrap(), complete, "cut at {cut}");
    }
    let reports: i64 = sqlx::query_scalar("select count(*) from report")
        .fetch_one(&up.database().pool("intake").await)
        .await
        .unwrap();
    assert_eq!(reports, 210);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_row_is_sent_and_the_others_are_not_reported_twice() {
    let up = RunningSystem::start().await;
    let (rows, out) = (up.path("rows.csv"), up.path("out.csv"));
    let import = [
        "report",
        "import",
        rows.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
    ];
    let write = |row: &str| {
        let text = format!("external_id,channel,url\nR-2,public,https://b.example/\n{row}");
        std::fs::write(&rows, text).unwrap();
    };
    write("R-1,public,\"https://a.example/\nR-3,public,https://c.example/\n");
    assert_eq!(up.refusal(&import), "row_unclosed");
    write("R-1,public,ftp://a.example/\n");
    assert_eq!(up.json(&import)["refused"], 1);
    write("R-1,public,https://a.example/\n");
    let summary = up.json(&import);
    assert_eq!(
        summary,
        json!({ "accepted": 1, "refused": 0, "passed_over": 1, "changed": 1 })
    );
    let reports: i64 = sqlx::query_scalar("select count(*) from report")
        .fetch_one(&up.database().pool("intake").await)
        .await
        .unwrap();
    assert_eq!(reports, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_another_format_is_refused_unchanged() {
    let up = RunningSystem::start().await;
    let (rows, out) = (up.path("rows.csv"), up.path("out.csv"));
    std::fs::write(&rows, "name,age\nx,1\n").unwrap();
    let (rows, out) = (rows.to_str().unwrap(), out.to_str().unwrap());
    assert_eq!(
        up.refusal(&["report", "import", rows, "--out", out]),
        "column_missing"
    );
    std::fs::write(rows, file()).unwrap();
    std::fs::write(out, "name,age\nx,1\n").unwrap();
    assert_eq!(
        up.refusal(&["report", "import", rows, "--out", out]),
        "out_not_ours"
    );
    assert_eq!(std::fs::read_to_string(out).unwrap(), "name,age\nx,1\n");
}
