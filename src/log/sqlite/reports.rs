//! The tables beside the events.

use portcullis_core::Version;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction};

use super::row::{from_sql, to_sql};
use crate::log::reports::{Push, Reported, Reports, Tried};

/// Most paths of one revocation at one edge; the others are one row without a path.
pub(super) const MAX_PATHS: i64 = 16;
/// Most rows of one revocation; what comes to more is one row without an edge.
pub(super) const MAX_ROWS: i64 = 1_024;

/// Adds what edges say to what is kept.
pub(super) fn keep(transaction: &Transaction<'_>, reports: &Reports) -> rusqlite::Result<()> {
    for tried in &reports.tried {
        add(transaction, tried)?;
    }
    let mut put = transaction.prepare_cached(
        "INSERT OR REPLACE INTO pushes(last, first, accepted_at_ms, edges, applied, applied_at_ms, missing)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for push in &reports.pushes {
        put.execute((
            to_sql(push.last),
            to_sql(push.first),
            to_sql(push.accepted_at_ms),
            to_sql(push.edges),
            to_sql(push.applied),
            push.applied_at_ms.map(to_sql),
            push.missing.join("\n"),
        ))?;
    }
    Ok(())
}

fn add(transaction: &Transaction<'_>, tried: &Tried) -> rusqlite::Result<()> {
    let mut update = transaction.prepare_cached(
        "UPDATE tried SET count = count + ?4, passed = passed + ?5,
                first_ms = min(first_ms, ?6), last_ms = max(last_ms, ?7)
         WHERE revocation = ?1 AND node = ?2 AND path = ?3",
    )?;
    let revocation = to_sql(tried.revocation);
    let (count, passed) = (to_sql(tried.count), to_sql(tried.passed));
    let times = (to_sql(tried.first_ms), to_sql(tried.last_ms));
    let mut into = |node: &str, path: &str| {
        let row = (revocation, node, path, count, passed, times.0, times.1);
        update.execute(row).map(|changed| changed > 0)
    };
    let (mut node, mut path) = (tried.node.as_str(), tried.path.as_str());
    if into(node, path)? {
        return Ok(());
    }
    let mut rows = transaction.prepare_cached(
        "SELECT count(*), count(*) FILTER (WHERE node = ?2) FROM tried WHERE revocation = ?1",
    )?;
    let (all, of_node): (i64, i64) =
        rows.query_row((revocation, node), |row| Ok((row.get(0)?, row.get(1)?)))?;
    if of_node >= MAX_PATHS {
        path = "";
    }
    if all >= MAX_ROWS {
        (node, path) = ("", "");
    }
    if !into(node, path)? {
        let mut insert =
            transaction.prepare_cached("INSERT INTO tried VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
        insert.execute((revocation, node, path, count, passed, times.0, times.1))?;
    }
    Ok(())
}

/// Drops what is kept about revocations that are gone.
pub(super) fn drop_about(transaction: &Transaction<'_>, revocations: &[Version]) -> rusqlite::Result<()> {
    let mut tried = transaction.prepare_cached("DELETE FROM tried WHERE revocation = ?1")?;
    let mut pushes = transaction.prepare_cached(
        "DELETE FROM pushes WHERE last = (SELECT last FROM pushes WHERE last >= ?1 ORDER BY last LIMIT 1)
             AND first <= ?1
             AND NOT EXISTS (SELECT 1 FROM events WHERE kind = 10 AND version BETWEEN pushes.first AND pushes.last)",
    )?;
    for version in revocations {
        tried.execute([to_sql(*version)])?;
        pushes.execute([to_sql(*version)])?;
    }
    Ok(())
}

/// What is kept about these revocations, in their order, with at most `rows` places of requests each.
pub(super) fn about(
    connection: &Connection,
    revocations: &[Version],
    rows: usize,
) -> rusqlite::Result<Vec<Reported>> {
    // A log that an earlier build has written and nobody has written to since has no such tables.
    let sql = "SELECT count(*) FROM sqlite_schema WHERE name IN ('tried', 'pushes')";
    let tables: i64 = connection.query_row(sql, [], |row| row.get(0))?;
    if tables < 2 {
        return Ok(vec![Reported::default(); revocations.len()]);
    }
    let mut push = connection.prepare_cached(
        "SELECT first, last, accepted_at_ms, edges, applied, applied_at_ms, missing FROM pushes
         WHERE last >= ?1 ORDER BY last LIMIT 1",
    )?;
    let mut sum = connection.prepare_cached(
        "SELECT total(count), total(passed), min(first_ms), max(last_ms) FROM tried WHERE revocation = ?1",
    )?;
    let mut places = connection.prepare_cached(
        "SELECT revocation, node, path, count, passed, first_ms, last_ms FROM tried WHERE revocation = ?1
         ORDER BY count DESC, node, path LIMIT ?2",
    )?;
    let mut about = |version: Version| {
        let at = to_sql(version);
        let push = push.query_row([at], read_push).optional()?.filter(|push| push.first <= version);
        let mut reported = sum.query_row([at], read_sum)?;
        reported.push = push;
        if reported.count > 0 {
            let limit = i64::try_from(rows).unwrap_or(i64::MAX);
            reported.tried = places.query_map((at, limit), read_tried)?.collect::<rusqlite::Result<_>>()?;
        }
        Ok(reported)
    };
    revocations.iter().map(|version| about(*version)).collect()
}

fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get(column).map(from_sql)
}

fn read_push(row: &Row<'_>) -> rusqlite::Result<Push> {
    let missing: String = row.get(6)?;
    Ok(Push {
        first: number(row, 0)?,
        last: number(row, 1)?,
        accepted_at_ms: number(row, 2)?,
        edges: number(row, 3)?,
        applied: number(row, 4)?,
        applied_at_ms: row.get::<_, Option<i64>>(5)?.map(from_sql),
        missing: missing.split('\n').filter(|node| !node.is_empty()).map(str::to_owned).collect(),
    })
}

fn read_sum(row: &Row<'_>) -> rusqlite::Result<Reported> {
    let between = (row.get::<_, Option<i64>>(2)?, row.get::<_, Option<i64>>(3)?);
    Ok(Reported {
        // `sum` fails where it overflows, and no count comes near to what a double has not.
        count: whole(row.get(0)?),
        passed: whole(row.get(1)?),
        between_ms: between.0.zip(between.1).map(|(first, last)| (from_sql(first), from_sql(last))),
        ..Reported::default()
    })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts, which saturate")]
fn whole(sum: f64) -> u64 {
    sum as u64
}

fn read_tried(row: &Row<'_>) -> rusqlite::Result<Tried> {
    Ok(Tried {
        revocation: number(row, 0)?,
        node: row.get(1)?,
        path: row.get(2)?,
        count: number(row, 3)?,
        passed: number(row, 4)?,
        first_ms: number(row, 5)?,
        last_ms: number(row, 6)?,
    })
}

#[cfg(test)]
mod tests;
