//! How many connections the operating system lets this process have.

use tracing::{info, warn};

/// Raises the limit of open files as far as it goes, and says when it is too low for so many subscribers.
pub(super) fn raise(max_subscribers: usize) {
    let limit = raised();
    let Some(files) = limit else {
        info!("the number of open files is not limited");
        return;
    };
    if files < u64::try_from(max_subscribers).unwrap_or(u64::MAX) {
        warn!(
            files,
            max_subscribers,
            "edge.max_subscribers is above the limit of open files: raise the limit (ulimit -n, LimitNOFILE=), or lower edge.max_subscribers"
        );
    } else {
        info!(files, "limit of open files");
    }
}

/// The limit, if there is one.
#[cfg(unix)]
fn raised() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let highest = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, highest) {
            warn!(%error, "the limit of open files could not be raised");
        }
    }
    getrlimit(Resource::Nofile).current
}

#[cfg(not(unix))]
fn raised() -> Option<u64> {
    None
}
