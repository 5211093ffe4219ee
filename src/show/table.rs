//! Listings as docker prints them: columns apart by three spaces, nothing drawn.

use keel_plain::line;
use std::collections::BTreeSet;

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

    /// One more row; each cell as one line.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.iter().map(|cell| line(cell).into_owned()).collect());
    }

    /// With a column of nodes, one for each row so far, where there are several to tell apart.
    #[must_use]
    pub fn with_nodes<'a>(mut self, nodes: impl Iterator<Item = &'a str> + Clone) -> Self {
        if are_several(nodes.clone()) {
            let cells = std::iter::once("NODE").chain(nodes).map(|node| line(node).into_owned());
            self.rows.iter_mut().zip(cells).for_each(|(row, cell)| row.push(cell));
        }
        self
    }

    /// As text, each row a line.
    pub fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        self.rows.iter().map(|row| padded(row, &widths)).collect()
    }
}

/// Whether a listing is of more than one node.
pub fn are_several<'a>(nodes: impl Iterator<Item = &'a str>) -> bool {
    nodes.filter(|node| !node.is_empty()).collect::<BTreeSet<_>>().len() > 1
}

fn padded(row: &[String], widths: &[usize]) -> String {
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
    fn a_cell_is_one_line_without_escapes() {
        let mut table = Table::new(["NAME", "STATE"]);
        table.row(["a\x1b[2J\nb".into(), "running".into()]);
        table.row(["c".into(), "running".into()]);
        assert_eq!(
            table.render(),
            "NAME            STATE\na\\u{1b}[2J\\nb   running\nc               running\n"
        );
    }

    #[test]
    fn nodes_are_told_where_there_are_several() {
        let table = |nodes: [&str; 2]| {
            let mut table = Table::new(["NAME"]);
            nodes.iter().for_each(|_| table.row(["web".into()]));
            table.with_nodes(nodes.into_iter()).render()
        };
        assert_eq!(table(["here", "here"]), "NAME\nweb\nweb\n");
        assert_eq!(table(["here", "there"]), "NAME   NODE\nweb    here\nweb    there\n");
    }

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
