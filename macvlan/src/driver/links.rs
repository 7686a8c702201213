//! All links by number, which is by age: a sorted list, because states are
//! cloned and gone through far more often than links come or go.

use std::sync::Arc;

use super::{Index, Link};

/// All links, ascending.
#[derive(Clone, Debug, Default)]
pub(super) struct Links(Vec<(Index, Arc<Link>)>);

impl Links {
    fn find(&self, index: Index) -> Result<usize, usize> {
        self.0.binary_search_by_key(&index, |(index, _)| *index)
    }

    pub(super) fn get(&self, index: Index) -> Option<&Arc<Link>> {
        let found = self.find(index).ok()?;
        self.0.get(found).map(|(_, link)| link)
    }

    /// To be changed: no other state sees it.
    pub(super) fn get_mut(&mut self, index: Index) -> Option<&mut Link> {
        let found = self.find(index).ok()?;
        self.0.get_mut(found).map(|(_, link)| Arc::make_mut(link))
    }

    pub(super) fn insert(&mut self, index: Index, link: Arc<Link>) {
        match self.find(index) {
            Ok(found) => {
                if let Some(entry) = self.0.get_mut(found) {
                    entry.1 = link;
                }
            }
            Err(place) => self.0.insert(place, (index, link)),
        }
    }

    pub(super) fn remove(&mut self, index: Index) -> Option<Arc<Link>> {
        self.find(index).ok().map(|found| self.0.remove(found).1)
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&Link) -> bool) {
        self.0.retain(|(_, link)| keep(link));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Link> {
        self.0.iter().map(|(_, link)| &**link)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Arc<Link>> {
        self.0.iter_mut().map(|(_, link)| link)
    }

    /// Those of an ascending list, in one pass.
    pub(super) fn of<'a>(&'a self, list: &'a [Index]) -> impl Iterator<Item = &'a Link> {
        let mut rest = &*self.0;
        list.iter().filter_map(move |wanted| {
            let found = match rest.first() {
                // Where one lower has them all.
                Some((index, _)) if index == wanted => 0,
                _ => rest.binary_search_by_key(wanted, |(index, _)| *index).ok()?,
            };
            let (found, others) = rest.get(found..)?.split_first()?;
            rest = others;
            Some(&*found.1)
        })
    }
}
