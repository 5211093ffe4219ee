//! Listings as docker prints them: columns apart by three spaces, nothing drawn.

/// Rows under headings.
pub struct Table {
    rows: Vec<Vec<String>>,
}

const GAP: usize = 3;

impl Table {
    /// With these headings.
    pub fn new<const N: usize>(headings: [&str; N]) -> Self {
        Self { rows: vec![headings.map(str::to_owned).to_vec()] }
    }

    /// One more row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.to_vec());
    }

    /// As text, each row a line.
    pub fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        self.rows.iter().map(|row| line(row, &widths)).collect()
    }
}

fn line(row: &[String], widths: &[usize]) -> String {
    let mut text = String::new();
    for (cell, width) in row.iter().zip(widths) {
        text.push_str(cell);
        text.extend(std::iter::repeat_n(' ', width + GAP - cell.chars().count()));
    }
    format!("{}\n", text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_nothing_trails() {
        let mut table = Table::new(["NAME", "PORTS", "STATE"]);
        table.row(["web-1".into(), "0.0.0.0:8080->80/tcp".into(), "running".into()]);
        table.row(["ünicode-1".into(), String::new(), String::new()]);
        insta::assert_snapshot!(table.render(), @r"
        NAME        PORTS                  STATE
        web-1       0.0.0.0:8080->80/tcp   running
        ünicode-1
        ");
    }
}
