//! The workers that an agent has started and that have not ended.
//!
//! Their objects stay alive for as long: each is the target of its implicit port, which roots it.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use boa_engine::Context;

use super::{Worker, WorkerId};
use crate::{binding::This, event_loop::LoopHandle};

/// A worker as its owner knows it.
#[derive(Clone)]
pub(super) struct OwnedWorker {
    pub(super) object: This<Worker>,
    pub(super) handle: LoopHandle,
}

/// The workers of a context.
#[derive(Clone, Default)]
pub(super) struct Workers(Rc<RefCell<HashMap<WorkerId, OwnedWorker>>>);

impl Workers {
    pub(super) fn of(context: &mut Context) -> Self {
        if let Some(workers) = context.get_data::<Self>() {
            return workers.clone();
        }
        let workers = Self::default();
        context.insert_data(workers.clone());
        workers
    }

    pub(super) fn insert(&self, id: WorkerId, worker: OwnedWorker) {
        self.0.borrow_mut().insert(id, worker);
    }

    pub(super) fn get(&self, id: WorkerId) -> Option<OwnedWorker> {
        self.0.borrow().get(&id).cloned()
    }

    pub(super) fn remove(&self, id: WorkerId) -> Option<OwnedWorker> {
        self.0.borrow_mut().remove(&id)
    }
}
