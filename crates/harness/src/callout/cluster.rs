//! The clusters that call-outs can go to.

/// A cluster as call-outs find it. A cluster that was never added is missing, which is something else.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cluster {
    has_hosts: bool,
}

impl Cluster {
    /// A cluster with a host that takes connections; the test plays that host.
    #[must_use]
    pub const fn healthy() -> Self {
        Self { has_hosts: true }
    }

    /// A cluster without a healthy host: every call-out fails while it is being made.
    #[must_use]
    pub const fn no_hosts() -> Self {
        Self { has_hosts: false }
    }

    pub(super) const fn has_hosts(&self) -> bool {
        self.has_hosts
    }
}
