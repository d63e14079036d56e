//! Tables with tabs, as several of Kafka's tools print them.

use super::session::say;

/// Prints a table: each column as wide as its widest cell, a tab after each.
pub(super) fn print_table<const N: usize>(titles: [&str; N], rows: &[[String; N]]) {
    let mut widths = titles.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.len().max(*width);
        }
    }
    let line = |cells: &[String; N]| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}\t"));
        say!("{}", padded.collect::<String>());
    };
    line(&titles.map(str::to_owned));
    rows.iter().for_each(line);
}
