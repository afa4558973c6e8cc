//! Sorting a graph of needs, and finding its loops.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use petgraph::algo::tarjan_scc;
use petgraph::graph::DiGraph;

/// Puts nodes `0..keys.len()` in an order in which everything a node needs
/// stands before it, and which otherwise follows the keys. `Err` holds the
/// nodes that could not be placed: those in loops and those behind them.
///
/// `needs[n]` lists what node `n` needs; repeated entries do no harm.
pub(crate) fn sort<K: Ord>(keys: &[K], needs: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut waiting: Vec<usize> = needs.iter().map(Vec::len).collect();
    let mut needed_by: Vec<Vec<usize>> = vec![Vec::new(); keys.len()];
    for (node, list) in needs.iter().enumerate() {
        for &need in list {
            needed_by[need].push(node);
        }
    }
    let mut ready: BinaryHeap<Reverse<(&K, usize)>> =
        (0..keys.len()).filter(|&node| waiting[node] == 0).map(|node| Reverse((&keys[node], node))).collect();
    let mut order = Vec::with_capacity(keys.len());
    while let Some(Reverse((_, node))) = ready.pop() {
        order.push(node);
        for &dependent in &needed_by[node] {
            waiting[dependent] -= 1;
            if waiting[dependent] == 0 {
                ready.push(Reverse((&keys[dependent], dependent)));
            }
        }
    }
    if order.len() == keys.len() {
        return Ok(order);
    }
    Err((0..keys.len()).filter(|&node| waiting[node] > 0).collect())
}

/// The loops of a graph of needs: its strongly connected components of more
/// than one node, each sorted.
pub(crate) fn loops(needs: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut graph = DiGraph::<(), (), u32>::with_capacity(needs.len(), needs.iter().map(Vec::len).sum());
    let nodes: Vec<_> = needs.iter().map(|_| graph.add_node(())).collect();
    for (node, list) in needs.iter().enumerate() {
        for &need in list {
            graph.add_edge(nodes[node], nodes[need], ());
        }
    }
    let mut loops: Vec<Vec<usize>> = tarjan_scc(&graph)
        .into_iter()
        .filter(|component| component.len() > 1)
        .map(|component| component.into_iter().map(|node| node.index()).collect())
        .collect();
    for members in &mut loops {
        members.sort_unstable();
    }
    loops.sort_unstable();
    loops
}

#[cfg(test)]
mod tests {
    use super::{loops, sort};

    fn check(keys: &[&str], needs: &[&[usize]], expected: Result<&[usize], &[usize]>) {
        let needs: Vec<Vec<usize>> = needs.iter().map(|list| list.to_vec()).collect();
        let sorted = sort(keys, &needs);
        assert_eq!(sorted.as_deref().map_err(Vec::as_slice), expected);
    }

    #[test]
    fn keys_decide_where_needs_do_not() {
        check(&["b", "a", "c"], &[&[], &[], &[]], Ok(&[1, 0, 2]));
        check(&["b", "a", "c"], &[&[], &[2], &[]], Ok(&[0, 2, 1]));
        check(&["a", "b", "c"], &[&[1, 1, 2], &[2], &[]], Ok(&[2, 1, 0]));
    }

    #[test]
    fn what_is_in_or_behind_a_loop_is_left() {
        check(&["a", "b", "c", "d"], &[&[1], &[0], &[0], &[]], Err(&[0, 1, 2]));
    }

    #[test]
    fn loops_are_found_apart() {
        let needs = vec![vec![1], vec![0], vec![3, 0], vec![4], vec![2], vec![]];
        assert_eq!(loops(&needs), vec![vec![0, 1], vec![2, 3, 4]]);
    }
}
