//! What commands print: tables for people, JSON for programs, colours only on a terminal.

use std::env;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

/// How a command prints its result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Format {
    /// Tables and sentences.
    Text,
    /// One JSON value.
    Json,
}

/// What a cell wants to say at a glance.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Tone {
    /// Nothing.
    #[default]
    Plain,
    /// The heading of a column, a title.
    Title,
    /// As it should be.
    Good,
    /// To be looked at.
    Warning,
    /// Wrong.
    Bad,
}

/// One cell of a table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Cell {
    text: String,
    tone: Tone,
    right: bool,
}

impl Cell {
    /// The same text, in another tone.
    #[must_use]
    pub(super) fn tone(mut self, tone: Tone) -> Self {
        self.tone = tone;
        self
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), tone: Tone::Plain, right: false }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, tone: Tone::Plain, right: false }
    }
}

/// `-` for what is not known.
impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or_else(|| Cell::from("-"), Into::into)
    }
}

macro_rules! number_cells {
    ($($number:ty),*) => {
        $(impl From<$number> for Cell {
            fn from(number: $number) -> Self {
                Self { text: number.to_string(), tone: Tone::Plain, right: true }
            }
        })*
    };
}

number_cells!(i16, i32, i64, u64, usize);

/// Rows under headings, each column as wide as its widest cell; numbers stand to the right.
#[derive(Debug)]
pub(super) struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table without rows.
    pub(super) fn new(headings: &[&'static str]) -> Self {
        Self { headings: headings.to_vec(), rows: Vec::new() }
    }

    /// Adds a row, which has a cell for each heading.
    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        assert_eq!(cells.len(), self.headings.len(), "a cell for each heading");
        self.rows.push(cells);
    }

    fn render(&self, colour: bool) -> String {
        let width_of = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.text.chars().count());
            cells.chain([self.headings[column].chars().count()]).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..self.headings.len()).map(width_of).collect();
        let numeric = |column: usize| self.rows.iter().any(|row| row[column].right);
        let heading = |(column, text): (usize, &&str)| Cell {
            text: (*text).to_owned(),
            tone: Tone::Title,
            right: numeric(column),
        };
        let headings: Vec<Cell> = self.headings.iter().enumerate().map(heading).collect();
        let mut text = String::new();
        for row in std::iter::once(&headings).chain(&self.rows) {
            let mut line = String::new();
            let mut gap = 0;
            for (cell, width) in row.iter().zip(&widths) {
                let fill = width - cell.text.chars().count();
                let before = gap + if cell.right { fill } else { 0 };
                let _ = write!(line, "{:before$}{}", "", painted(&cell.text, cell.tone, colour));
                gap = 2 + if cell.right { 0 } else { fill };
            }
            text.push_str(&line);
            text.push('\n');
        }
        text
    }
}

/// Standard output in the format that was asked for. Writing fails, and never panics, when nobody reads any more.
pub(super) struct Output {
    format: Format,
    colour: bool,
}

impl Output {
    /// Standard output; colours only on a terminal that shows them and where NO_COLOR does not forbid them.
    pub(super) fn new(format: Format) -> Self {
        let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        let colour = io::stdout().is_terminal() && !set("NO_COLOR") && !dumb;
        Self { format, colour }
    }

    /// Prints `value` as JSON, or `text` for people.
    pub(super) fn print(&self, value: &impl Serialize, text: impl FnOnce(&Self) -> String) -> io::Result<()> {
        match self.format {
            Format::Text => write(&text(self)),
            Format::Json => write(&(serde_json::to_string_pretty(value).map_err(io::Error::other)? + "\n")),
        }
    }

    /// A table as text.
    pub(super) fn table(&self, table: &Table) -> String {
        table.render(self.colour)
    }

    /// `text` in a tone, where there are colours.
    pub(super) fn paint(&self, text: &str, tone: Tone) -> String {
        painted(text, tone, self.colour)
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

fn painted(text: &str, tone: Tone, colour: bool) -> String {
    let code = match tone {
        Tone::Plain => return text.to_owned(),
        Tone::Title => "1",
        Tone::Good => "32",
        Tone::Warning => "33",
        Tone::Bad => "31",
    };
    if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// A size as people read it: `0 B`, `1.5 KiB`, `3 MiB`.
pub(super) fn bytes(size: i64) -> String {
    let mut value = size as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB", "PiB"] {
        if value.abs() < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if value.fract() == 0.0 || value.abs() >= 100.0 {
        format!("{value:.0} {unit}")
    } else {
        format!("{value:.1} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_cells_and_numbers_stand_to_the_right() {
        let mut table = Table::new(&["TOPIC", "N", "LEADER"]);
        table.row(vec!["a".into(), 7.into(), Option::<i32>::None.into()]);
        table.row(vec!["longer-name".into(), 1234.into(), Some(1).into()]);
        let expected = "TOPIC           N  LEADER\na               7  -\nlonger-name  1234       1\n";
        assert_eq!(table.render(false), expected);
        assert!(table.render(true).starts_with("\x1b[1mTOPIC\x1b[0m  "));
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!(
            [0, 1023, 1024, 1536, 3 << 20, 123_456_789].map(bytes),
            ["0 B", "1023 B", "1 KiB", "1.5 KiB", "3 MiB", "118 MiB"]
        );
    }
}
