//! Markdown tables whose source reads as well as their rendering.

/// The table, its columns padded to the same width in every line.
pub(super) fn render<const COLUMNS: usize>(head: [&str; COLUMNS], rows: &[[String; COLUMNS]]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let head = head.map(str::to_owned);
    let width = |column: usize| rows.iter().chain([&head]).map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    let rule = widths.map(|width| "-".repeat(width));
    [&head, &rule].into_iter().chain(rows).map(|row| line(row, &widths)).collect()
}

fn line<const COLUMNS: usize>(row: &[String; COLUMNS], widths: &[usize; COLUMNS]) -> String {
    let mut line = String::from("|");
    for (cell, &width) in row.iter().zip(widths) {
        line += &format!(" {cell:width$} |");
    }
    line + "\n"
}
