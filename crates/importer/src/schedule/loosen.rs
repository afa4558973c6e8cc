//! Taking loops out of a graph whose edges are not all of the same weight.

use super::{Node, NodeId};

/// Drops `after` edges until nodes wait for each other in no circle, as far as these edges are to blame;
/// returns the nodes that now wait for less, in order. A loop of `needs` alone is left as it is.
pub(crate) fn loosen(nodes: &mut [Node]) -> Vec<NodeId> {
    let mut loosened = Vec::new();
    loop {
        let on_loops = on_loops(nodes);
        let is_on_loop = |other: &NodeId| on_loops.get(*other).copied().unwrap_or(false);
        let Some(node) =
            (0..nodes.len()).find(|id| is_on_loop(id) && nodes[*id].after.iter().any(is_on_loop))
        else {
            loosened.sort_unstable();
            loosened.dedup();
            return loosened;
        };
        nodes[node].after.retain(|other| !is_on_loop(other));
        loosened.push(node);
    }
}

/// Which nodes are on a loop, or on a way from one loop to another.
fn on_loops(nodes: &[Node]) -> Vec<bool> {
    let count = nodes.len();
    let mut before = vec![Vec::new(); count];
    let mut behind = vec![Vec::new(); count];
    for (id, node) in nodes.iter().enumerate() {
        for &other in node.needs.iter().chain(&node.after).filter(|&&other| other < count) {
            before[id].push(other);
            behind[other].push(id);
        }
    }
    let mut open = vec![true; count];
    peel(&before, &behind, &mut open);
    peel(&behind, &before, &mut open);
    open
}

/// Closes every open node that has no open node before it, again and again.
fn peel(before: &[Vec<NodeId>], behind: &[Vec<NodeId>], open: &mut [bool]) {
    let mut counts: Vec<usize> =
        before.iter().map(|list| list.iter().filter(|&&other| open[other]).count()).collect();
    let mut free: Vec<NodeId> = (0..open.len()).filter(|&id| open[id] && counts[id] == 0).collect();
    while let Some(id) = free.pop() {
        open[id] = false;
        for &next in behind[id].iter().filter(|&&next| open[next]) {
            counts[next] -= 1;
            if counts[next] == 0 {
                free.push(next);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::loosen;
    use crate::schedule::{Node, NodeId};

    fn node(needs: &[NodeId], after: &[NodeId]) -> Node {
        Node { needs: needs.to_vec(), after: after.to_vec(), ..Node::default() }
    }

    #[test]
    fn a_graph_without_loops_stays_as_it_is() {
        let mut nodes = [node(&[], &[]), node(&[0], &[]), node(&[], &[0, 1])];
        let whole = nodes.clone();
        assert_eq!(loosen(&mut nodes), Vec::<NodeId>::new());
        assert_eq!(nodes, whole);
    }

    #[test]
    fn what_only_follows_a_loop_goes_on_waiting() {
        let mut nodes = [node(&[], &[]), node(&[], &[2, 0]), node(&[1], &[]), node(&[], &[2])];
        assert_eq!(loosen(&mut nodes), [1]);
        assert_eq!(nodes, [node(&[], &[]), node(&[], &[0]), node(&[1], &[]), node(&[], &[2])]);
    }

    #[test]
    fn a_loop_of_needs_is_left() {
        let mut nodes = [node(&[1], &[]), node(&[0], &[])];
        assert_eq!(loosen(&mut nodes), Vec::<NodeId>::new());
    }
}
