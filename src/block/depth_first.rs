//! Putting the spans of one trace into depth-first order.

use std::collections::HashSet;
use std::hash::Hash;

/// Where a row of the block comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceRow {
    /// Position of the chunk among the sources.
    pub source: u32,
    /// Row within it.
    pub row: u32,
}

/// A span as far as its place in the tree goes.
#[derive(Clone, Copy, Debug)]
pub struct Node {
    /// Where the span comes from.
    pub origin: SourceRow,
    /// Span id.
    pub id: u64,
    /// Parent id, 0 for none.
    pub parent_id: u64,
    /// Start, Unix nanoseconds.
    pub start: u64,
    /// OTLP's `SpanKind` number.
    pub kind: i32,
}

const NONE: u32 = u32::MAX;
const SERVER: i32 = 2;
const CLIENT: i32 = 3;

/// Orders one trace after the other, with its buffers kept.
#[derive(Default)]
pub struct DepthFirst {
    nodes: Vec<Node>,
    /// Positions in `nodes`, by span id.
    by_id: Vec<u32>,
    parent: Vec<u32>,
    first_child: Vec<u32>,
    next_sibling: Vec<u32>,
    out: Vec<Placement>,
    place_of: Vec<u32>,
    stack: Vec<u32>,
}

#[derive(Clone, Copy)]
struct Placement {
    node: u32,
    parent_offset: u32,
    subtree: u32,
}

impl DepthFirst {
    /// Forgets the trace.
    pub fn clear(&mut self) {
        self.nodes.clear();
        self.by_id.clear();
    }

    /// Adds a span of the trace.
    pub fn add(&mut self, node: Node) {
        self.nodes.push(node);
    }

    /// Leaves out spans that are the same as an earlier one, by what `content` tells of them; returns their number. It is
    /// asked only about spans that share id and start, and once about each.
    pub fn remove_duplicates<C: Eq + Hash>(&mut self, content: impl Fn(SourceRow) -> C) -> usize {
        self.index();
        let nodes = &self.nodes;
        let (mut twins, mut seen) = (Vec::new(), HashSet::new());
        let node = |at: &u32| &nodes[*at as usize];
        for same_id in self.by_id.chunk_by(|a, b| node(a).id == node(b).id).filter(|same_id| same_id.len() > 1) {
            let mut same_id = same_id.to_vec();
            same_id.sort_by_key(|at| node(at).start);
            for alike in same_id.chunk_by(|a, b| node(a).start == node(b).start).filter(|alike| alike.len() > 1) {
                seen.clear();
                twins.extend(alike.iter().filter(|at| !seen.insert(content(node(at).origin))));
            }
        }
        if !twins.is_empty() {
            twins.sort_unstable();
            let mut at = 0;
            self.nodes.retain(|_| {
                at += 1;
                twins.binary_search(&(at - 1)).is_err()
            });
        }
        twins.len()
    }

    fn index(&mut self) {
        // Leaving spans out shortens the list and makes the index stale.
        if self.by_id.len() == self.nodes.len() {
            return;
        }
        self.by_id.clear();
        self.by_id.extend(0..self.nodes.len() as u32);
        let nodes = &self.nodes;
        self.by_id.sort_by_key(|&at| nodes[at as usize].id);
    }

    /// Calls `emit` for each span in depth-first order with the rows back to its parent (0 for none) and the rows of its
    /// subtree. Roots and orphans come in the order in which they were added; so do the children of a span (recorded nested-set
    /// numbers show that this is the order to count in). Spans in a cycle of parents are never reached from a root: the first of
    /// them is taken for an orphan.
    pub fn run(&mut self, mut emit: impl FnMut(&Node, u32, u32)) {
        self.index();
        self.link();
        self.out.clear();
        self.place_of.clear();
        self.place_of.resize(self.nodes.len(), NONE);
        for at in 0..self.nodes.len() as u32 {
            if self.parent[at as usize] == NONE {
                self.descend(at);
            }
        }
        for at in 0..self.nodes.len() as u32 {
            if self.place_of[at as usize] == NONE {
                self.parent[at as usize] = NONE;
                self.descend(at);
            }
        }
        self.count_subtrees();
        for placement in &self.out {
            emit(&self.nodes[placement.node as usize], placement.parent_offset, placement.subtree);
        }
    }

    fn link(&mut self) {
        let n = self.nodes.len();
        self.parent.clear();
        for at in 0..n {
            let parent = self.parent_of(at);
            self.parent.push(parent);
        }
        self.first_child.clear();
        self.first_child.resize(n, NONE);
        self.next_sibling.clear();
        self.next_sibling.resize(n, NONE);
        // Backwards, so that each list of children runs forwards.
        for at in (0..n).rev() {
            let parent = self.parent[at];
            if parent != NONE {
                self.next_sibling[at] = self.first_child[parent as usize];
                self.first_child[parent as usize] = at as u32;
            }
        }
    }

    /// The parent of a span by the rule of spec/traceql.md §8.1: of two spans with the id (a Zipkin pair) the server, or
    /// for a server span the client; none if neither has that kind, or if more than two have the id.
    fn parent_of(&self, at: usize) -> u32 {
        let node = &self.nodes[at];
        if node.parent_id == 0 {
            return NONE;
        }
        let id_at = |&position: &u32| self.nodes[position as usize].id;
        let first = self.by_id.partition_point(|position| id_at(position) < node.parent_id);
        let candidates = &self.by_id[first..];
        // A third one decides already; a broken sender may give all spans one id.
        let num_candidates = candidates.iter().take(3).take_while(|position| id_at(position) == node.parent_id).count();
        let candidates = &candidates[..num_candidates];
        let wanted = if node.kind == SERVER { CLIENT } else { SERVER };
        match candidates {
            [only] if *only as usize != at => *only,
            [a, b] => {
                let fits = |&&position: &&u32| position as usize != at && self.nodes[position as usize].kind == wanted;
                [a, b].into_iter().find(fits).copied().unwrap_or(NONE)
            }
            _ => NONE,
        }
    }

    fn descend(&mut self, root: u32) {
        self.stack.clear();
        self.stack.push(root);
        while let Some(at) = self.stack.pop() {
            if self.place_of[at as usize] != NONE {
                continue;
            }
            let place = self.out.len() as u32;
            self.place_of[at as usize] = place;
            let parent = self.parent[at as usize];
            let parent_offset = if parent == NONE { 0 } else { place - self.place_of[parent as usize] };
            self.out.push(Placement { node: at, parent_offset, subtree: 1 });
            let first = self.stack.len();
            let mut child = self.first_child[at as usize];
            while child != NONE {
                self.stack.push(child);
                child = self.next_sibling[child as usize];
            }
            // The first child has to come off the stack first.
            self.stack[first..].reverse();
        }
    }

    fn count_subtrees(&mut self) {
        for at in (0..self.out.len()).rev() {
            let Placement { parent_offset, subtree, .. } = self.out[at];
            if parent_offset > 0 {
                self.out[at - parent_offset as usize].subtree += subtree;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn node(row: u32, id: u64, parent_id: u64, kind: i32) -> Node {
        Node { origin: SourceRow { source: 0, row }, id, parent_id, start: u64::from(row), kind }
    }

    fn order(nodes: &[Node]) -> Vec<(u64, u32, u32)> {
        let mut walk = DepthFirst::default();
        nodes.iter().for_each(|node| walk.add(*node));
        walk.remove_duplicates(|origin| origin.row);
        let mut out = Vec::new();
        walk.run(|node, parent_offset, subtree| out.push((node.id, parent_offset, subtree)));
        out
    }

    #[test]
    fn children_follow_their_parent_in_order() {
        let nodes = [node(0, 1, 0, 0), node(1, 2, 1, 0), node(2, 3, 1, 0), node(3, 4, 2, 0), node(4, 9, 77, 0)];
        assert_eq!(order(&nodes), [(1, 0, 4), (2, 1, 2), (4, 1, 1), (3, 3, 1), (9, 0, 1)]);
    }

    #[test]
    fn a_zipkin_pair_shares_an_id() {
        let nodes = [node(0, 1, 0, CLIENT), node(1, 1, 1, SERVER), node(2, 2, 1, 1)];
        assert_eq!(order(&nodes), [(1, 0, 3), (1, 1, 2), (2, 1, 1)]);
    }

    #[test]
    fn cycles_and_self_parents_become_orphans() {
        assert_eq!(order(&[node(0, 1, 2, 0), node(1, 2, 1, 0), node(2, 3, 3, 0)]), [(3, 0, 1), (1, 0, 2), (2, 1, 1)]);
    }

    proptest! {
        #[test]
        fn every_span_comes_once_below_its_parent(spans in proptest::collection::vec((1u64..20, 0u64..20, 0i32..4), 0..40)) {
            let nodes: Vec<Node> = spans.iter().enumerate().map(|(row, &(id, parent, kind))| node(row as u32, id, parent, kind)).collect();
            let mut walk = DepthFirst::default();
            nodes.iter().for_each(|node| walk.add(*node));
            walk.remove_duplicates(|origin| origin.row);
            let mut out: Vec<(Node, u32, u32)> = Vec::new();
            walk.run(|node, parent_offset, subtree| out.push((*node, parent_offset, subtree)));
            prop_assert_eq!(out.len(), nodes.len());
            for (at, (node, parent_offset, subtree)) in out.iter().enumerate() {
                prop_assert!(at + *subtree as usize <= out.len());
                if *parent_offset > 0 {
                    let (parent, _, below) = &out[at - *parent_offset as usize];
                    prop_assert_eq!(parent.id, node.parent_id);
                    prop_assert!(*subtree < *below && *parent_offset < *below);
                }
            }
            // Siblings come as they were added, and so do the spans without a parent that are no cut through a cycle.
            let parent = |at: usize| (out[at].1 > 0).then(|| at - out[at].1 as usize);
            let is_cut = |at: usize| parent(at).is_none() && walk.parent_of(out[at].0.origin.row as usize) != NONE;
            for second in 0..out.len() {
                for first in (0..second).filter(|first| parent(*first) == parent(second) && !is_cut(*first) && !is_cut(second)) {
                    prop_assert!(out[first].0.origin.row < out[second].0.origin.row);
                }
            }
        }
    }
}
