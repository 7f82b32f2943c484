//! How much memory a VM may have.

use wasmtime::{ResourceLimiter, Result, StoreLimits, StoreLimitsBuilder};

/// As many as V8 allows in a table.
const MAX_TABLE_ELEMENTS: usize = 10_000_000;

/// The limits of one VM, and whether the running callback has run into them.
#[derive(Debug)]
pub(crate) struct Limits {
    limits: StoreLimits,
    pub(crate) refused: bool,
}

impl Limits {
    pub(crate) fn new(memory: usize) -> Self {
        let limits = StoreLimitsBuilder::new().memory_size(memory).table_elements(MAX_TABLE_ELEMENTS);
        Self { limits: limits.instances(1).build(), refused: false }
    }
}

impl ResourceLimiter for Limits {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        let allowed = self.limits.memory_growing(current, desired, maximum)?;
        self.refused |= !allowed;
        Ok(allowed)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        let allowed = self.limits.table_growing(current, desired, maximum)?;
        self.refused |= !allowed;
        Ok(allowed)
    }

    fn instances(&self) -> usize {
        self.limits.instances()
    }
}
