//! A report as comma-separated values (RFC 4180).

use super::words::paths;
use crate::api::model::{Moment, ReportedRevocation};

const HEADINGS: [&str; 21] = [
    "id",
    "revoked_at",
    "kind",
    "issuer",
    "value",
    "reason",
    "by",
    "key",
    "via",
    "status",
    "reinstated_at",
    "ended_at",
    "edges",
    "applied",
    "enforced_within_ms",
    "missing",
    "tried",
    "let_pass",
    "first_tried_at",
    "last_tried_at",
    "paths",
];

/// The first line.
pub(super) fn headings() -> Vec<u8> {
    line(HEADINGS.map(str::to_owned))
}

/// The line of one revocation.
pub(super) fn row(reported: &ReportedRevocation) -> Vec<u8> {
    let (revocation, tried) = (&reported.revocation, &reported.tried);
    let time = |at: Option<Moment>| at.map_or_else(String::new, Moment::to_millis_text);
    let (edges, applied, ms, missing) = match &reported.enforced {
        None => Default::default(),
        Some(enforced) => (
            enforced.edges.to_string(),
            enforced.applied.to_string(),
            enforced.ms.map_or_else(String::new, |ms| ms.to_string()),
            enforced.missing.join("; "),
        ),
    };
    let value = revocation.value.clone().or_else(|| revocation.claims.as_ref().map(ToString::to_string));
    let paths: Vec<String> = paths(tried).iter().map(|(path, count)| format!("{path} {count}")).collect();
    line([
        revocation.id.clone(),
        revocation.created_at.to_millis_text(),
        revocation.kind.name().to_owned(),
        revocation.issuer.clone().unwrap_or_default(),
        value.unwrap_or_default(),
        revocation.reason.clone(),
        revocation.created_by.name.clone(),
        revocation.created_by.key.clone(),
        revocation.created_by.via.clone(),
        revocation.status.name().to_owned(),
        time(revocation.reinstated_at),
        time(revocation.ended_at),
        edges,
        applied,
        ms,
        missing,
        tried.count.to_string(),
        tried.passed.to_string(),
        time(tried.first),
        time(tried.last),
        paths.join("; "),
    ])
}

fn line<const N: usize>(cells: [String; N]) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    // A vector takes everything.
    let _ = writer.write_record(cells.map(harmless));
    writer.into_inner().unwrap_or_default()
}

/// A spreadsheet would run what begins like a formula, and others choose user names and paths
/// (<https://owasp.org/www-community/attacks/CSV_Injection>).
fn harmless(text: String) -> String {
    if text.trim_start().starts_with(['=', '+', '-', '@']) || text.starts_with(['\t', '\r', '\n']) {
        format!("'{text}")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(cells: [&str; 3]) -> String {
        String::from_utf8(line(cells.map(str::to_owned))).unwrap()
    }

    #[test]
    fn what_needs_quotes_has_them() {
        assert_eq!(written(["a", "b,c", "d \"e\"\nf"]), "a,\"b,c\",\"d \"\"e\"\"\nf\"\n");
    }

    #[test]
    fn nothing_is_a_formula() {
        assert_eq!(written(["=1+1", "@SUM(A1)", "+1"]), "'=1+1,'@SUM(A1),'+1\n");
        assert_eq!(written(["-2", " =1", "\t=1"]), "'-2,' =1,'\t=1\n");
        assert_eq!(written(["a=b", "r1-0000", "/p 3"]), "a=b,r1-0000,/p 3\n");
    }
}
