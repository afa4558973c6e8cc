//! The scheduler: a graph of nodes, of which some are ready, some run, some are done.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::Lock;

/// Index of a [`Node`] in the list that the scheduler was made of.
pub type NodeId = usize;

/// One piece of work as the scheduler sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Node {
    /// Nodes that must have succeeded; if one fails, this one is skipped.
    pub needs: Vec<NodeId>,
    /// Nodes that must have ended, well or badly.
    pub after: Vec<NodeId>,
    /// Tables it locks; no two nodes with conflicting locks run side by side.
    pub locks: Vec<Lock>,
    /// Size of the work itself in bytes, or what it is worth in bytes.
    pub weight_bytes: u64,
    /// Weight of the work that its locks keep from going beside it, in bytes: it makes a node more urgent,
    /// not larger.
    pub queued_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Running,
    Ended,
}

/// Hands out nodes whose predecessors have ended, those at the head of the longest chain of work first.
///
/// Nothing is ever held back for a whole group of nodes: there is no barrier. Every node ends in one of
/// three ways: [`Scheduler::finish`], [`Scheduler::fail`], or skipped as a dependant of one that failed.
///
/// ```
/// use dbhaul_importer::{Node, Scheduler};
///
/// let rows = Node { weight_bytes: 100, ..Node::default() };
/// let index = Node { needs: vec![0], weight_bytes: 20, ..Node::default() };
/// let mut scheduler = Scheduler::new(vec![rows, index]);
/// assert_eq!(scheduler.start_next(), Some(0));
/// assert_eq!(scheduler.start_next(), None);
/// scheduler.finish(0);
/// assert_eq!(scheduler.start_next(), Some(1));
/// ```
#[derive(Debug)]
pub struct Scheduler {
    nodes: Vec<Node>,
    states: Vec<State>,
    /// How many predecessors have not ended yet.
    pending: Vec<usize>,
    /// Who needs a node, and who only comes after it.
    needed_by: Vec<Vec<NodeId>>,
    followed_by: Vec<Vec<NodeId>>,
    ranks: Vec<u64>,
    ready: BTreeSet<(Reverse<u64>, NodeId)>,
    running: BTreeSet<NodeId>,
    open_count: usize,
    /// Nodes from here on are gates.
    first_gate: NodeId,
}

impl Scheduler {
    /// Takes the graph. Predecessors outside the list are ignored.
    pub fn new(nodes: Vec<Node>) -> Self {
        Self::with_gates(nodes, Vec::new())
    }

    /// Takes the graph with gates, numbered behind the nodes. A gate is no work: it ends with the last of
    /// its predecessors, so that many nodes can come after many others without an edge for each pair.
    pub fn with_gates(mut nodes: Vec<Node>, gates: Vec<Node>) -> Self {
        let first_gate = nodes.len();
        nodes.extend(gates);
        let count = nodes.len();
        let mut needed_by = vec![Vec::new(); count];
        let mut followed_by = vec![Vec::new(); count];
        let mut pending = vec![0; count];
        for (id, node) in nodes.iter().enumerate() {
            let needs: BTreeSet<_> = node.needs.iter().copied().filter(|&n| n < count).collect();
            let after: BTreeSet<_> = node.after.iter().copied().filter(|&n| n < count).collect();
            pending[id] = needs.len() + after.difference(&needs).count();
            after.difference(&needs).for_each(|&before| followed_by[before].push(id));
            needs.iter().for_each(|&before| needed_by[before].push(id));
        }
        let ranks = ranks(&nodes, &pending, &needed_by, &followed_by);
        let free = (0..first_gate).filter(|&id| pending[id] == 0);
        let ready = free.map(|id| (Reverse(ranks[id]), id)).collect();
        let mut scheduler = Scheduler {
            states: vec![State::Waiting; count],
            running: BTreeSet::new(),
            open_count: count,
            nodes,
            pending,
            needed_by,
            followed_by,
            ranks,
            ready,
            first_gate,
        };
        let open_gates: Vec<NodeId> = (first_gate..count).filter(|&id| scheduler.pending[id] == 0).collect();
        open_gates.into_iter().for_each(|gate| scheduler.finish(gate));
        scheduler
    }

    /// Starts the most urgent node that may run now, if there is one.
    pub fn start_next(&mut self) -> Option<NodeId> {
        let found = self.ready.iter().find(|(_, id)| !self.is_locked_out(*id)).copied()?;
        self.ready.remove(&found);
        self.states[found.1] = State::Running;
        self.running.insert(found.1);
        Some(found.1)
    }

    /// Starts the most urgent node that may run now, if it is one that is wanted.
    pub fn start_next_if(&mut self, is_wanted: impl Fn(NodeId) -> bool) -> Option<NodeId> {
        let (_, id) = *self.ready.iter().find(|(_, id)| !self.is_locked_out(*id))?;
        if is_wanted(id) { self.start_next() } else { None }
    }

    /// How many nodes wait for nothing but locks and a session.
    pub fn ready_count(&self) -> usize {
        self.ready.len()
    }

    /// Records that a node succeeded, whether it was started here or found done.
    pub fn finish(&mut self, id: NodeId) {
        if !self.end(id) {
            return;
        }
        let (needed_by, followed_by) = (self.needed_by[id].clone(), self.followed_by[id].clone());
        needed_by.into_iter().chain(followed_by).for_each(|next| self.release(next));
    }

    /// Records that a node failed; returns those that are skipped for it, directly or not, in order.
    pub fn fail(&mut self, id: NodeId) -> Vec<NodeId> {
        let mut skipped = Vec::new();
        let mut stack = vec![id];
        while let Some(failed) = stack.pop() {
            if !self.end(failed) {
                continue;
            }
            skipped.push(failed);
            stack.extend(self.needed_by[failed].iter().copied());
            for next in self.followed_by[failed].clone() {
                self.release(next);
            }
        }
        skipped.retain(|&other| other != id);
        skipped.sort_unstable();
        skipped
    }

    /// Whether every node has ended.
    pub fn is_done(&self) -> bool {
        self.open_count == 0
    }

    /// How many nodes are running.
    pub fn running_count(&self) -> usize {
        self.running.len()
    }

    /// Nodes that have not ended and are not running: when nothing runs and
    /// nothing can start, the members of a loop and what waits for them.
    pub fn waiting(&self) -> Vec<NodeId> {
        (0..self.first_gate).filter(|&id| self.states[id] == State::Waiting).collect()
    }

    /// Weight of the longest chain of nodes that begins with this one, in bytes, with what is queued
    /// behind the locks of its members.
    pub fn rank_bytes(&self, id: NodeId) -> u64 {
        self.ranks[id]
    }

    /// The longest chain of nodes from one that waits for nothing to one that nothing waits for: with
    /// sessions without end, nothing could be done faster. At equal lengths the first in the list.
    pub fn critical_path(&self) -> Vec<NodeId> {
        let heads = (0..self.nodes.len()).filter(|&id| self.pending[id] == 0);
        let mut next = heads.max_by_key(|&id| (self.ranks[id], Reverse(id)));
        let mut path = Vec::new();
        while let Some(id) = next.filter(|_| path.len() < self.nodes.len()) {
            path.push(id);
            let followers = self.needed_by[id].iter().chain(&self.followed_by[id]).copied();
            next = followers.max_by_key(|&id| (self.ranks[id], Reverse(id)));
        }
        path.retain(|&id| id < self.first_gate);
        path
    }

    fn is_locked_out(&self, id: NodeId) -> bool {
        let locks = &self.nodes[id].locks;
        self.running.iter().any(|&other| {
            self.nodes[other].locks.iter().any(|held| locks.iter().any(|lock| lock.conflicts_with(held)))
        })
    }

    /// Marks a node ended; false if it was already.
    fn end(&mut self, id: NodeId) -> bool {
        if self.states[id] == State::Ended {
            return false;
        }
        self.states[id] = State::Ended;
        self.running.remove(&id);
        self.ready.remove(&(Reverse(self.ranks[id]), id));
        self.open_count -= 1;
        true
    }

    fn release(&mut self, id: NodeId) {
        self.pending[id] -= 1;
        if self.pending[id] > 0 || self.states[id] != State::Waiting {
            return;
        }
        if id >= self.first_gate {
            self.finish(id);
        } else {
            self.ready.insert((Reverse(self.ranks[id]), id));
        }
    }
}

/// For each node the weight of the longest chain that begins with it. Nodes on a loop keep their own.
fn ranks(
    nodes: &[Node],
    pending: &[usize],
    needed_by: &[Vec<NodeId>],
    followed_by: &[Vec<NodeId>],
) -> Vec<u64> {
    let mut left = pending.to_vec();
    let mut order: Vec<NodeId> = (0..nodes.len()).filter(|&id| left[id] == 0).collect();
    let mut position = 0;
    while let Some(&id) = order.get(position) {
        position += 1;
        for &next in needed_by[id].iter().chain(&followed_by[id]) {
            left[next] -= 1;
            if left[next] == 0 {
                order.push(next);
            }
        }
    }
    let own = |node: &Node| node.weight_bytes.saturating_add(node.queued_bytes);
    let mut ranks: Vec<u64> = nodes.iter().map(own).collect();
    for &id in order.iter().rev() {
        let longest =
            needed_by[id].iter().chain(&followed_by[id]).map(|&next| ranks[next]).max().unwrap_or(0);
        ranks[id] = ranks[id].saturating_add(longest);
    }
    ranks
}

#[cfg(test)]
mod tests {
    use dbhaul_catalog::{Class, ObjectId};

    use super::{Node, NodeId, Scheduler};
    use crate::schedule::{Lock, LockMode};

    fn node(needs: &[NodeId], weight_bytes: u64) -> Node {
        Node { needs: needs.to_vec(), weight_bytes, ..Node::default() }
    }

    fn locking(mut node: Node, table: u32, mode: LockMode) -> Node {
        node.locks.push(Lock { table: ObjectId::new(Class::PG_CLASS, table), mode });
        node
    }

    /// Starts everything that may run now.
    fn start_all(scheduler: &mut Scheduler) -> Vec<NodeId> {
        std::iter::from_fn(|| scheduler.start_next()).collect()
    }

    #[test]
    fn the_longest_chain_goes_first() {
        // 0: a large table; 1: a smaller one whose index makes its chain longer; 2: that index
        let mut scheduler =
            Scheduler::new(vec![node(&[], 100), node(&[], 80), node(&[1], 50), node(&[], 10)]);
        assert_eq!(start_all(&mut scheduler), [1, 0, 3]);
        assert_eq!(scheduler.rank_bytes(1), 130);
    }

    #[test]
    fn the_critical_path_is_the_longest_chain() {
        let nodes = vec![
            node(&[], 100),
            node(&[], 80),
            node(&[1], 50),
            node(&[2, 0], 7),
            node(&[2], 6),
            node(&[], 3),
        ];
        assert_eq!(Scheduler::new(nodes).critical_path(), [1, 2, 3]);
        assert_eq!(Scheduler::new(Vec::new()).critical_path(), [] as [NodeId; 0]);
        // a loop has no beginning
        assert_eq!(Scheduler::new(vec![node(&[1], 1), node(&[0], 1)]).critical_path(), [] as [NodeId; 0]);
    }

    #[test]
    fn foreign_keys_to_one_table_are_validated_side_by_side() {
        let validating =
            |from| locking(locking(node(&[], 5), from, LockMode::Maintain), 9, LockMode::Reference);
        let adding = locking(node(&[], 4), 9, LockMode::Exclusive);
        let mut scheduler = Scheduler::new(vec![validating(1), validating(2), validating(1), adding]);
        assert_eq!(start_all(&mut scheduler), [0, 1]);
        scheduler.finish(0);
        assert_eq!(start_all(&mut scheduler), [2]);
        scheduler.finish(1);
        assert_eq!(start_all(&mut scheduler), [] as [NodeId; 0]);
        scheduler.finish(2);
        assert_eq!(start_all(&mut scheduler), [3]);
    }

    #[test]
    fn an_index_starts_while_other_tables_load() {
        let mut scheduler = Scheduler::new(vec![node(&[], 10), node(&[], 1000), node(&[0], 5)]);
        assert_eq!(start_all(&mut scheduler), [1, 0]);
        scheduler.finish(0);
        assert_eq!(start_all(&mut scheduler), [2]);
        assert!(!scheduler.is_done());
    }

    #[test]
    fn an_index_waits_for_every_segment() {
        let mut scheduler = Scheduler::new(vec![node(&[], 10), node(&[], 10), node(&[0, 1], 5)]);
        assert_eq!(start_all(&mut scheduler), [0, 1]);
        scheduler.finish(1);
        assert_eq!(scheduler.start_next(), None);
        scheduler.finish(0);
        assert_eq!(start_all(&mut scheduler), [2]);
    }

    #[test]
    fn a_failure_skips_dependants_and_nothing_else() {
        let mut nodes = vec![node(&[], 10), node(&[0], 5), node(&[1], 5), node(&[], 1), node(&[], 1)];
        nodes[4].after.push(1);
        let mut scheduler = Scheduler::new(nodes);
        assert_eq!(start_all(&mut scheduler), [0, 3]);
        assert_eq!(scheduler.fail(0), [1, 2]);
        assert_eq!(start_all(&mut scheduler), [4], "what only came after the failed one runs all the same");
        scheduler.finish(3);
        scheduler.finish(4);
        assert!(scheduler.is_done());
    }

    #[test]
    fn two_foreign_keys_on_one_table_take_turns() {
        let on = |table, other| {
            locking(locking(node(&[], 5), table, LockMode::Exclusive), other, LockMode::Exclusive)
        };
        let mut scheduler = Scheduler::new(vec![on(1, 2), on(2, 3), on(4, 5)]);
        assert_eq!(start_all(&mut scheduler), [0, 2]);
        scheduler.finish(0);
        assert_eq!(start_all(&mut scheduler), [1]);
    }

    #[test]
    fn indexes_of_one_table_are_built_side_by_side_but_not_beside_analyze() {
        let nodes =
            [LockMode::Index, LockMode::Index, LockMode::Maintain].map(|mode| locking(node(&[], 5), 7, mode));
        let mut scheduler = Scheduler::new(nodes.into());
        assert_eq!(start_all(&mut scheduler), [0, 1]);
        scheduler.finish(0);
        assert_eq!(scheduler.start_next(), None);
        scheduler.finish(1);
        assert_eq!(start_all(&mut scheduler), [2]);
    }

    #[test]
    fn a_gate_opens_when_all_before_it_have_ended_well_or_badly() {
        let behind = |gate| Node { after: vec![gate], ..node(&[], 5) };
        let nodes = vec![node(&[], 10), node(&[], 20), behind(4), behind(5)];
        let gate = Node { after: vec![0, 1], ..Node::default() };
        let mut scheduler = Scheduler::with_gates(nodes, vec![gate, Node::default()]);
        assert_eq!(scheduler.critical_path(), [1, 2]);
        assert_eq!(start_all(&mut scheduler), [1, 0, 3], "a gate behind nothing is open");
        assert_eq!(scheduler.waiting(), [2], "a gate is not to be named");
        scheduler.finish(1);
        assert_eq!(scheduler.start_next(), None);
        assert_eq!(scheduler.fail(0), [] as [NodeId; 0]);
        assert_eq!(start_all(&mut scheduler), [2]);
        scheduler.finish(2);
        assert!(!scheduler.is_done());
        scheduler.finish(3);
        assert!(scheduler.is_done());
    }

    #[test]
    fn steps_found_done_release_what_waits_for_them() {
        let mut scheduler = Scheduler::new(vec![node(&[], 10), node(&[0], 5)]);
        scheduler.finish(0);
        assert_eq!(start_all(&mut scheduler), [1]);
    }

    #[test]
    fn a_loop_is_left_waiting_and_can_be_named() {
        let mut scheduler = Scheduler::new(vec![node(&[1], 1), node(&[0], 1), node(&[], 1)]);
        assert_eq!(start_all(&mut scheduler), [2]);
        scheduler.finish(2);
        assert_eq!(scheduler.start_next(), None);
        assert_eq!(scheduler.running_count(), 0);
        assert_eq!(scheduler.waiting(), [0, 1]);
        assert_eq!(scheduler.fail(0), [1]);
        assert!(scheduler.is_done());
    }
}
