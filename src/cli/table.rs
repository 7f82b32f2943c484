//! Tables: aligned, without lines, as wide as the terminal.

use std::fmt::Display;

use comfy_table::{Attribute, Cell, Color, ContentArrangement, Row, Table, presets};

use super::output::visible;

/// Columns of characters below which wrapping makes a table unreadable.
const NARROWEST: u16 = 40;

/// A table under these headings.
pub(super) fn table(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    // Into a pipe nothing is wrapped, so that a line stays a line; nor where a terminal does not know its
    // width, or is too narrow for columns.
    let wraps = table.is_tty() && table.width().is_some_and(|width| width >= NARROWEST);
    table.set_content_arrangement(if wraps {
        ContentArrangement::Dynamic
    } else {
        ContentArrangement::Disabled
    });
    table.set_header(headings.iter().map(|heading| Cell::new(heading).add_attribute(Attribute::Dim)));
    table
}

/// The table as text, without the space that its last column is padded with.
pub(super) fn text(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

/// A row of cells.
pub(super) fn row<const N: usize>(cells: [Cell; N]) -> Row {
    Row::from(cells)
}

/// A plain cell.
pub(super) fn cell(text: impl Display) -> Cell {
    Cell::new(visible(text))
}

/// All is well.
pub(super) fn good(text: impl Display) -> Cell {
    Cell::new(visible(text)).fg(Color::Green)
}

/// Something to look at.
pub(super) fn caution(text: impl Display) -> Cell {
    Cell::new(visible(text)).fg(Color::Yellow)
}

/// Over, or less important.
pub(super) fn dim(text: impl Display) -> Cell {
    Cell::new(visible(text)).add_attribute(Attribute::Dim)
}
