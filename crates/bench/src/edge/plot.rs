//! The processor time of each variant as a picture.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::Results;
use super::measure::Measured;
use super::variant::{Chain, Then, Variant};
use crate::stats;

const WIDTH: f64 = 860.0;
const LEFT: f64 = 230.0;
const RIGHT: f64 = 90.0;
const TOP: f64 = 56.0;
const ROW: f64 = 24.0;
const BAR: f64 = 14.0;
/// What takes much longer is cut off here, and its number stands beside it.
const CUT_OFF: f64 = 4.0;

/// Writes an SVG file: a bar for each variant that was measured.
pub(crate) fn write(path: &Path, variants: &[Variant], results: &Results) -> Result<()> {
    let rows: Vec<Row> = variants.iter().filter_map(|variant| Row::of(variant, results)).collect();
    fs::write(path, draw(&rows)).with_context(|| format!("cannot write {}", path.display()))
}

struct Row {
    name: String,
    colour: &'static str,
    value: f64,
    spread: f64,
}

impl Row {
    fn of(variant: &Variant, results: &Results) -> Option<Self> {
        let runs: Vec<f64> = results.get(variant.name)?.iter().map(Measured::cpu_us).collect();
        let summary = stats::summary(&runs)?;
        let colour = match variant.chain {
            Chain::Portcullis(_) | Chain::Jwt(Then::Portcullis(_)) => "#0b7a75",
            _ => "#9aa5b1",
        };
        let name = variant.name.replace('_', " ");
        Some(Self { name, colour, value: summary.value, spread: summary.spread })
    }
}

fn draw(rows: &[Row]) -> String {
    let mut values: Vec<f64> = rows.iter().map(|row| row.value).collect();
    values.sort_by(f64::total_cmp);
    // The scale is that of the ordinary variants.
    let middle = values.get(values.len() / 2).copied().unwrap_or(1.0);
    let largest = values.last().copied().unwrap_or(1.0).min(middle * CUT_OFF);
    let scale = (WIDTH - LEFT - RIGHT) / largest;
    let height = rows.iter().fold(TOP + 12.0, |height, _| height + ROW);
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13">
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="12" y="22" font-size="15" fill="#1f2933">Envoy's processor time for a request, microseconds (one worker, median; the line is the spread)</text>
"##
    );
    let mut y = TOP;
    for row in rows {
        let cut = row.value > largest;
        let length = row.value.min(largest) * scale;
        let (middle, text) = (y + BAR / 2.0, y + BAR - 2.5);
        let Row { name, colour, value, spread } = row;
        let end = LEFT + length;
        let label = if cut { format!("{value:.1} (cut off)") } else { format!("{value:.1}") };
        let whisker = (spread * scale / 2.0).min(length);
        // Writing to a string cannot fail.
        let _ = write!(
            svg,
            r##"<text x="{:.1}" y="{text:.1}" text-anchor="end" fill="#1f2933">{name}</text>
<rect x="{LEFT}" y="{y:.1}" width="{length:.1}" height="{BAR}" fill="{colour}"/>
"##,
            LEFT - 8.0
        );
        if !cut {
            let (from, to) = (end - whisker, end + whisker);
            let _ = writeln!(
                svg,
                r##"<line x1="{from:.1}" x2="{to:.1}" y1="{middle:.1}" y2="{middle:.1}" stroke="#1f2933"/>"##
            );
        }
        let label_x = if cut { end - 8.0 } else { end + whisker + 6.0 };
        let (anchor, fill) = if cut { ("end", "#ffffff") } else { ("start", "#1f2933") };
        let _ = writeln!(
            svg,
            r##"<text x="{label_x:.1}" y="{text:.1}" text-anchor="{anchor}" fill="{fill}">{label}</text>"##
        );
        y += ROW;
    }
    svg += "</svg>\n";
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_is_a_bar_within_the_picture() {
        let row = |name: &str, value| Row { name: name.into(), colour: "#000000", value, spread: 1.0 };
        let svg = draw(&[row("one", 10.0), row("two", 20.0), row("huge", 4_000.0)]);
        assert_eq!(svg.matches("<rect x=").count(), 3);
        assert!(svg.contains(">20.0</text>") && svg.contains(">4000.0 (cut off)</text>"), "{svg}");
        // The longest bar ends where the scale does.
        assert!(svg.contains(r#"width="540.0""#), "{svg}");
    }
}
