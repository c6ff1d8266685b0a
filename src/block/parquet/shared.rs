//! Pages out of their compression that several readers of a column chunk share.

use super::header::PageHeader;
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;

/// A longer page is not shared: few would have room.
const MAX_BYTES: usize = 256 << 10;

/// A page out of its compression.
pub struct SharedPage {
    pub(super) header: PageHeader,
    pub(super) payload: Box<[u8]>,
}

impl SharedPage {
    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.payload.len()
    }
}

/// Where the pages of one column chunk stay for other readers, as long as there is room. They are named by their number in the
/// offset index.
pub trait SharedPages: Send + Sync {
    /// A page that is there.
    fn get(&self, page: usize) -> Option<Arc<SharedPage>>;
    /// Leaves a page there.
    fn put(&self, page: usize, shared: Arc<SharedPage>);
}

/// The shared pages of a reader, and those that it relies on: what it has once found stays until it goes.
pub(super) struct Sharing {
    pages: Arc<dyn SharedPages>,
    found: Mutex<Vec<NumberedPage>>,
}

type NumberedPage = (usize, Arc<SharedPage>);

impl Sharing {
    pub(super) fn new(pages: Arc<dyn SharedPages>) -> Self {
        Sharing { pages, found: Mutex::default() }
    }

    /// A page that is in memory, from now on until this goes.
    pub(super) fn get(&self, page: usize) -> Option<Arc<SharedPage>> {
        let mut found = self.found.lock();
        if let Some((_, shared)) = found.iter().find(|(number, _)| *number == page) {
            return Some(Arc::clone(shared));
        }
        let shared = self.pages.get(page)?;
        found.push((page, Arc::clone(&shared)));
        Some(shared)
    }

    /// Leaves a page to others, unless it is too long.
    pub(super) fn put(&self, page: usize, header: &PageHeader, payload: &[u8]) {
        if payload.len() <= MAX_BYTES {
            self.pages.put(page, Arc::new(SharedPage { header: *header, payload: payload.into() }));
        }
    }
}

impl fmt::Debug for Sharing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sharing")
    }
}
