//! The config on a running switch: show, compare, apply, save.

use mvctl::proto::{ConfigApply, ConfigShow, Difference, RpcError, Saved};

use super::transaction::{Hindrance, Transaction};
use super::{Control, Outcome};

fn later<T>() -> Outcome<T> {
    Err(RpcError::refused("EOPNOTSUPP", "not yet"))
}

impl Control {
    pub(super) fn config_show(&self) -> Outcome<ConfigShow> {
        later()
    }

    pub(super) fn config_diff(&self, _file: Option<&str>, _text: &str) -> Outcome<Difference> {
        later()
    }

    pub(super) fn config_save(&self) -> Outcome<Saved> {
        later()
    }

    pub(super) fn config_apply(
        &mut self,
        _change: &mut Transaction,
        _config: &ConfigApply,
    ) -> Result<Difference, Hindrance> {
        Ok(later()?)
    }

    pub(super) fn reload(&mut self) {}
}
