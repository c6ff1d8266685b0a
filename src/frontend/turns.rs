//! Whose query runs next: tenants take turns, and the queries of one tenant stand in line.
//!
//! A tenant with a thousand queries delays another one's first query by one query, not by a thousand. A caller that goes away
//! leaves the line; one whose turn comes at that moment hands it on.

use super::QueryError;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use tokio::sync::oneshot;

/// A bounded number of permits, handed out tenant by tenant.
pub(super) struct Turns {
    state: Mutex<State>,
    /// Most queries that wait for one tenant; 0 means no bound (`query_frontend.max_outstanding_per_tenant`).
    max_waiting: usize,
}

struct State {
    free: usize,
    lines: HashMap<String, VecDeque<oneshot::Sender<Permit>>>,
    /// Tenants with a line, in the order of their turns.
    order: VecDeque<String>,
}

/// The right to run one query, given back when dropped.
pub(super) struct Permit {
    turns: Option<Arc<Turns>>,
}

impl Turns {
    /// So many permits, at least one.
    pub(super) fn new(num_permits: usize, max_waiting: usize) -> Arc<Self> {
        let state = State { free: num_permits.max(1), lines: HashMap::new(), order: VecDeque::new() };
        Arc::new(Turns { state: Mutex::new(state), max_waiting })
    }

    /// Waits for the tenant's turn.
    ///
    /// # Errors
    /// [`QueryError::QueueFull`] if too many of its queries wait already.
    pub(super) async fn take(self: &Arc<Self>, tenant: &str) -> Result<Permit, QueryError> {
        let turn = {
            let mut state = self.state.lock();
            // Nobody waits while a permit is free.
            if state.free > 0 {
                state.free -= 1;
                return Ok(Permit { turns: Some(Arc::clone(self)) });
            }
            state.stand_in_line(tenant, self.max_waiting)?
        };
        turn.await.map_err(|_| QueryError::Internal("the server is shutting down".to_string()))
    }

    /// Number of queries that wait.
    pub(super) fn num_waiting(&self) -> usize {
        self.state.lock().lines.values().map(VecDeque::len).sum()
    }
}

impl State {
    fn stand_in_line(&mut self, tenant: &str, max_waiting: usize) -> Result<oneshot::Receiver<Permit>, QueryError> {
        let line = self.lines.entry(tenant.to_string()).or_default();
        if line.is_empty() {
            self.order.push_back(tenant.to_string());
        } else {
            // Those who went away do not count.
            line.retain(|waiter| !waiter.is_closed());
        }
        if max_waiting > 0 && line.len() >= max_waiting {
            return Err(QueryError::QueueFull);
        }
        let (sender, receiver) = oneshot::channel();
        line.push_back(sender);
        Ok(receiver)
    }

    /// The first in the line of the tenant whose turn it is; its tenant goes to the end of the order.
    fn next(&mut self) -> Option<oneshot::Sender<Permit>> {
        while let Some(tenant) = self.order.pop_front() {
            let Some(line) = self.lines.get_mut(&tenant) else { continue };
            let waiter = line.pop_front();
            if line.is_empty() {
                self.lines.remove(&tenant);
            } else {
                self.order.push_back(tenant);
            }
            if waiter.is_some() {
                return waiter;
            }
        }
        None
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(turns) = self.turns.take() else { return };
        loop {
            let mut state = turns.state.lock();
            let Some(waiter) = state.next() else {
                state.free += 1;
                return;
            };
            drop(state);
            match waiter.send(Permit { turns: Some(Arc::clone(&turns)) }) {
                Ok(()) => return,
                // It has gone away; its permit must not come back here by being dropped.
                Err(mut permit) => permit.turns = None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::Poll;

    /// Stands in line without getting anything yet.
    macro_rules! waiting {
        ($turns:expr, $tenant:expr) => {{
            let mut waiting = Box::pin($turns.take($tenant));
            assert!(std::future::poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx).is_pending())).await);
            waiting
        }};
    }

    #[tokio::test]
    async fn tenants_take_turns() {
        let turns = Turns::new(1, 0);
        let running = turns.take("a").await.expect("free");
        let (first, second) = (waiting!(turns, "a"), waiting!(turns, "a"));
        let mut other = waiting!(turns, "b");
        drop(running);
        let running = first.await.expect("first in line");
        assert!(std::future::poll_fn(|cx| Poll::Ready(other.as_mut().poll(cx).is_pending())).await);
        drop(running);
        let running = other.await.expect("the other tenant's turn");
        assert_eq!(turns.num_waiting(), 1);
        drop(running);
        drop(second.await.expect("nobody else is left"));
        assert_eq!((turns.num_waiting(), turns.state.lock().free), (0, 1));
    }

    #[tokio::test]
    async fn who_goes_away_leaves_the_line() {
        let turns = Turns::new(1, 1);
        let running = turns.take("a").await.expect("free");
        let gone = waiting!(turns, "a");
        assert!(matches!(turns.take("a").await, Err(QueryError::QueueFull)));
        drop(gone);
        let next = waiting!(turns, "a");
        drop(running);
        // The permit was on its way to a caller that goes away before it looks.
        drop(next);
        let mut last = pin!(turns.take("a"));
        assert!(std::future::poll_fn(|cx| Poll::Ready(last.as_mut().poll(cx).is_ready())).await);
    }

    #[tokio::test]
    async fn only_gone_callers_in_line() {
        let turns = Turns::new(1, 0);
        let running = turns.take("a").await.expect("free");
        drop(waiting!(turns, "a"));
        drop(waiting!(turns, "b"));
        drop(running);
        assert_eq!((turns.num_waiting(), turns.state.lock().free), (0, 1));
    }
}
