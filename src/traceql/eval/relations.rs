//! Operators between two sets of spans of the same traces (spec/traceql.md §8.2, §8.3), on bitmaps over depth-first rows.

use super::bitmap::Bitmap;
use super::tree::Tree;
use crate::traceql::ast::Relation;

/// The rows of `right` that stand in the relation to a row of `left`.
pub(super) fn related(relation: Relation, left: &Bitmap, right: &Bitmap, tree: &Tree) -> Bitmap {
    // Disconnected spans take part in no relation.
    let (mut left, mut right) = (left.clone(), right.clone());
    left.and_with(tree.connected());
    right.and_with(tree.connected());
    match relation {
        Relation::Child => children(&left, &right, tree),
        Relation::Parent => parents(&left, &right, tree),
        Relation::Descendant => descendants(&left, &right, tree),
        Relation::Ancestor => ancestors(&left, &right, tree),
        Relation::Sibling => siblings(&left, &right, tree),
    }
}

/// The relation seen from the other side.
pub(super) fn inverse(relation: Relation) -> Relation {
    match relation {
        Relation::Child => Relation::Parent,
        Relation::Parent => Relation::Child,
        Relation::Descendant => Relation::Ancestor,
        Relation::Ancestor => Relation::Descendant,
        Relation::Sibling => Relation::Sibling,
    }
}

fn children(left: &Bitmap, right: &Bitmap, tree: &Tree) -> Bitmap {
    let mut found = Bitmap::empty(right.len());
    let has_parent = |row: &u32| tree.parent(*row).is_some_and(|parent| left.contains(parent));
    right.iter().filter(has_parent).for_each(|row| found.insert(row));
    found
}

fn parents(left: &Bitmap, right: &Bitmap, tree: &Tree) -> Bitmap {
    let mut found = Bitmap::empty(right.len());
    left.iter().filter_map(|row| tree.parent(row)).for_each(|parent| found.insert(parent));
    found.and_with(right);
    found
}

fn descendants(left: &Bitmap, right: &Bitmap, tree: &Tree) -> Bitmap {
    let mut found = Bitmap::empty(right.len());
    let mut covered = 0;
    for row in left.iter() {
        // A subtree within one that is covered already adds nothing.
        let below = tree.below(row);
        if below.end > covered {
            covered = below.end;
            found.insert_range(below);
        }
    }
    found.and_with(right);
    found
}

fn ancestors(left: &Bitmap, right: &Bitmap, tree: &Tree) -> Bitmap {
    let mut found = Bitmap::empty(right.len());
    // Upwards from each row, as far as nobody has gone before.
    let mut passed = Bitmap::empty(right.len());
    for row in left.iter() {
        let mut next = tree.parent(row);
        while let Some(parent) = next.filter(|parent| !passed.contains(*parent)) {
            passed.insert(parent);
            next = tree.parent(parent);
        }
    }
    found.or_with(&passed);
    found.and_with(right);
    found
}

/// Roots of one trace are siblings of each other. A span is none of itself.
fn siblings(left: &Bitmap, right: &Bitmap, tree: &Tree) -> Bitmap {
    let mut found = Bitmap::empty(right.len());
    // By the parent's row, the number of its children on the left.
    let mut counts = vec![0_u32; tree.num_rows()];
    for rows in tree.traces().filter(|rows| left.any_in(rows.clone()) && right.any_in(rows.clone())) {
        let mut num_roots = 0_u32;
        for row in left.iter_in(rows.clone()) {
            match tree.parent(row) {
                Some(parent) => counts[parent as usize] += 1,
                None => num_roots += 1,
            }
        }
        for row in right.iter_in(rows) {
            let count = tree.parent(row).map_or(num_roots, |parent| counts[parent as usize]);
            if count > u32::from(left.contains(row)) {
                found.insert(row);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Traces as lists of parents by position within the trace; a parent comes before its children.
    fn tree_of(traces: &[Vec<Option<usize>>], orphans: &[u32]) -> Tree {
        let (mut first_row, mut offsets, mut subtrees) = (vec![0_u32], Vec::new(), Vec::new());
        for parents in traces {
            let order = depth_first(parents);
            let place = |at: usize| order.iter().position(|other| *other == at).expect("every span has a place");
            offsets.extend(order.iter().enumerate().map(|(row, at)| parents[*at].map_or(0, |parent| (row - place(parent)) as u32)));
            subtrees.extend(order.iter().map(|at| (0..parents.len()).filter(|other| is_at_or_below(parents, *other, *at)).count() as u32));
            first_row.push(offsets.len() as u32);
        }
        let orphans: Vec<u32> = orphans.iter().copied().filter(|row| offsets.get(*row as usize) == Some(&0)).collect();
        Tree::new(first_row, &offsets, subtrees, &orphans)
    }

    fn depth_first(parents: &[Option<usize>]) -> Vec<usize> {
        fn descend(parents: &[Option<usize>], at: Option<usize>, order: &mut Vec<usize>) {
            for child in (0..parents.len()).filter(|child| parents[*child] == at) {
                order.push(child);
                descend(parents, Some(child), order);
            }
        }
        let mut order = Vec::new();
        descend(parents, None, &mut order);
        order
    }

    fn is_at_or_below(parents: &[Option<usize>], mut at: usize, top: usize) -> bool {
        while at != top {
            match parents[at] {
                Some(parent) => at = parent,
                None => return false,
            }
        }
        true
    }

    /// The table of §8.2, by nested-set numbers.
    fn holds(relation: Relation, a: usize, b: usize, tree: &Tree) -> bool {
        use super::super::place::TreeNumber::{Left, Parent, Right};
        let number = |number, row: usize| tree.numbers(number)[row];
        let is_below = |y, x| number(Left, y) > number(Left, x) && number(Right, y) < number(Right, x);
        let trace = |row: usize| tree.traces().position(|rows| rows.contains(&row));
        if trace(a) != trace(b) || number(Left, a) == 0 || number(Left, b) == 0 {
            return false;
        }
        match relation {
            Relation::Child => number(Parent, b) == number(Left, a),
            Relation::Parent => number(Parent, a) == number(Left, b),
            Relation::Descendant => is_below(b, a),
            Relation::Ancestor => is_below(a, b),
            Relation::Sibling => a != b && number(Parent, a) == number(Parent, b),
        }
    }

    const RELATIONS: [Relation; 5] = [Relation::Child, Relation::Parent, Relation::Descendant, Relation::Ancestor, Relation::Sibling];

    #[test]
    fn the_example_of_the_specification() {
        let tree = Tree::new(vec![0, 6], &[0, 1, 1, 3, 0, 0], vec![4, 2, 1, 1, 1, 1], &[5]);
        let all = Bitmap::full(6);
        let rows = |relation| related(relation, &all, &all, &tree).to_rows();
        assert_eq!(rows(Relation::Child), [1, 2, 3]);
        assert_eq!(rows(Relation::Sibling), [0, 1, 3, 4]);
        assert_eq!(rows(Relation::Ancestor), [0, 1]);
    }

    fn trace() -> impl Strategy<Value = Vec<Option<usize>>> {
        proptest::collection::vec(proptest::option::weighted(0.8, 0_usize..100), 1..9).prop_map(|parents| {
            parents.into_iter().enumerate().map(|(at, parent)| parent.filter(|_| at > 0).map(|parent| parent % at)).collect()
        })
    }

    proptest! {
        #[test]
        fn bitmaps_say_what_the_numbers_say(
            traces in proptest::collection::vec(trace(), 1..4),
            orphans in proptest::collection::vec(0_u32..30, 0..3),
            left in proptest::collection::vec(any::<bool>(), 36),
            right in proptest::collection::vec(any::<bool>(), 36),
        ) {
            let tree = tree_of(&traces, &{ let mut orphans = orphans; orphans.sort_unstable(); orphans.dedup(); orphans });
            let rows = |bits: &[bool]| (0..tree.num_rows() as u32).filter(|row| bits[*row as usize]).collect::<Vec<u32>>();
            let (left, right) = (rows(&left), rows(&right));
            let set = |rows: &[u32]| Bitmap::from_rows(tree.num_rows(), rows);
            for relation in RELATIONS {
                let expected: Vec<u32> = right.iter().copied()
                    .filter(|b| left.iter().any(|a| holds(relation, *a as usize, *b as usize, &tree))).collect();
                prop_assert_eq!(related(relation, &set(&left), &set(&right), &tree).to_rows(), expected, "{:?}", relation);
            }
        }
    }
}
