//! The trees of many traces, one after the other, each depth-first: what structural operators and nested-set numbers need.

use super::bitmap::Bitmap;
use super::place::TreeNumber;
use std::ops::Range;

/// Stands for "no parent".
const NONE: u32 = u32::MAX;

/// Where each span stands in the tree of its trace. The traces cover all rows, each a run of its own.
///
/// Spans that hang on no root, directly or through others, are *disconnected*: they take part in no relation
/// (spec/traceql.md §8.2).
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// Number of rows before each trace, and of all at the end.
    first_row: Vec<u32>,
    parent: Vec<u32>,
    subtree: Vec<u32>,
    connected: Bitmap,
}

impl Tree {
    /// Of rows in depth-first order. `parent_offset` counts the rows back to the parent (0 for none), `subtree` the rows of the
    /// subtree, itself included; both stay within their trace. `orphans` are the rows that have no parent here and are no roots.
    pub fn new(first_row: Vec<u32>, parent_offset: &[u32], subtree: Vec<u32>, orphans: &[u32]) -> Self {
        let num_rows = subtree.len();
        let parent = |(row, offset): (usize, &u32)| if *offset == 0 { NONE } else { row as u32 - offset };
        let parent: Vec<u32> = parent_offset.iter().enumerate().map(parent).collect();
        let mut connected = Bitmap::full(num_rows);
        if !orphans.is_empty() {
            let mut hanging = Bitmap::empty(num_rows);
            for &orphan in orphans {
                hanging.insert_range(orphan as usize..orphan as usize + subtree[orphan as usize] as usize);
            }
            connected.and_not_with(&hanging);
        }
        Tree { first_row, parent, subtree, connected }
    }

    /// Number of rows.
    pub fn num_rows(&self) -> usize {
        self.subtree.len()
    }

    /// The rows of each trace.
    pub fn traces(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.first_row.windows(2).map(|ends| ends[0] as usize..ends[1] as usize)
    }

    /// Rows that hang on a root.
    pub fn connected(&self) -> &Bitmap {
        &self.connected
    }

    /// The parent's row.
    #[inline]
    pub fn parent(&self, row: u32) -> Option<u32> {
        let parent = self.parent[row as usize];
        (parent != NONE).then_some(parent)
    }

    /// The rows below a row, without itself.
    #[inline]
    pub fn below(&self, row: u32) -> Range<usize> {
        row as usize + 1..row as usize + self.subtree[row as usize] as usize
    }

    /// A number of every row (spec/traceql.md §8.1).
    pub fn numbers(&self, number: TreeNumber) -> Vec<i64> {
        match number {
            TreeNumber::Left => self.lefts(),
            TreeNumber::Right => {
                let lefts = self.lefts();
                let right = |(row, left): (usize, i64)| if left == 0 { 0 } else { left + 2 * i64::from(self.subtree[row]) - 1 };
                lefts.into_iter().enumerate().map(right).collect()
            }
            TreeNumber::Parent => {
                let lefts = self.lefts();
                let parent = |row: u32| match self.parent(row) {
                    _ if !self.connected.contains(row) => 0,
                    Some(parent) => lefts[parent as usize],
                    None => -1,
                };
                (0..self.num_rows() as u32).map(parent).collect()
            }
            TreeNumber::Children => self.children(),
        }
    }

    /// Counted through all roots of a trace. The n-th connected row (from 0) at depth d has come after n steps down and n - d
    /// steps up.
    fn lefts(&self) -> Vec<i64> {
        let mut lefts = vec![0; self.num_rows()];
        let mut depths = vec![0_i64; self.num_rows()];
        for rows in self.traces() {
            let mut before = 0;
            for row in rows {
                if !self.connected.contains(row as u32) {
                    continue;
                }
                depths[row] = self.parent(row as u32).map_or(0, |parent| depths[parent as usize] + 1);
                lefts[row] = 2 * before - depths[row] + 1;
                before += 1;
            }
        }
        lefts
    }

    fn children(&self) -> Vec<i64> {
        let mut children = vec![0; self.num_rows()];
        for rows in self.traces().filter(|rows| self.connected.any_in(rows.clone())) {
            for row in rows {
                if let Some(parent) = self.parent(row as u32) {
                    children[parent as usize] += 1;
                }
            }
        }
        children
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of spec/traceql.md §8.1: a(b(c), d), e, and x whose parent is missing.
    fn example() -> Tree {
        Tree::new(vec![0, 6], &[0, 1, 1, 3, 0, 0], vec![4, 2, 1, 1, 1, 1], &[5])
    }

    #[test]
    fn numbers_are_those_of_the_specification() {
        let tree = example();
        assert_eq!(tree.numbers(TreeNumber::Left), [1, 2, 3, 6, 9, 0]);
        assert_eq!(tree.numbers(TreeNumber::Right), [8, 5, 4, 7, 10, 0]);
        assert_eq!(tree.numbers(TreeNumber::Parent), [-1, 1, 2, 1, -1, 0]);
        assert_eq!(tree.numbers(TreeNumber::Children), [2, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn numbers_start_anew_with_each_trace() {
        let tree = Tree::new(vec![0, 2, 4], &[0, 1, 0, 1], vec![2, 1, 2, 1], &[2]);
        assert_eq!(tree.numbers(TreeNumber::Left), [1, 2, 0, 0]);
        assert_eq!(tree.numbers(TreeNumber::Children), [1, 0, 0, 0], "a trace without a root counts no children");
    }
}
