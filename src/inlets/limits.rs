//! How often one address may call, and which address that is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;

use axum::http::HeaderMap;
use governor::clock::DefaultClock;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::config::Network;

/// Addresses that are told apart at a time; the others share one allowance.
const MAX_ADDRESSES: usize = 16_384;

/// The allowances of all addresses.
pub(super) struct Limits {
    limiter: RateLimiter<IpAddr, HashMapStateStore<IpAddr>, DefaultClock>,
    proxies: Vec<Network>,
}

impl std::fmt::Debug for Limits {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Limits").field("proxies", &self.proxies).finish_non_exhaustive()
    }
}

impl Limits {
    pub(super) fn new(per_minute: NonZeroU32, proxies: Vec<Network>) -> Self {
        Self { limiter: RateLimiter::hashmap(Quota::per_minute(per_minute)), proxies }
    }

    /// Whether an address may call once more now.
    pub(super) fn admits(&self, address: IpAddr) -> bool {
        if self.limiter.len() >= MAX_ADDRESSES {
            self.limiter.retain_recent();
        }
        let full = self.limiter.len() >= MAX_ADDRESSES;
        let key = if full { Ipv4Addr::UNSPECIFIED.into() } else { household(address) };
        self.limiter.check_key(&key).is_ok()
    }

    /// Who calls: the peer, or whom a trusted proxy names.
    pub(super) fn address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut address = peer.to_canonical();
        let lists = headers.get_all("x-forwarded-for").iter();
        let named: Vec<&str> =
            lists.filter_map(|list| list.to_str().ok()).flat_map(|list| list.split(',')).collect();
        // The last one was added by the proxy that is the peer, the one before by the proxy before.
        for named in named.into_iter().rev() {
            if !self.proxies.iter().any(|proxy| proxy.contains(address)) {
                break;
            }
            let Ok(next) = named.trim().parse::<IpAddr>() else { break };
            address = next.to_canonical();
        }
        address
    }
}

/// An IPv6 address stands for the network that one household has.
fn household(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_its_own_allowance() {
        let limits = Limits::new(NonZeroU32::new(2).unwrap(), Vec::new());
        let admitted = |address: &str| limits.admits(ip(address));
        assert_eq!([admitted("10.0.0.1"), admitted("10.0.0.1"), admitted("10.0.0.1")], [true, true, false]);
        assert!(admitted("10.0.0.2"));
        assert_eq!(
            [admitted("2001:db8::1"), admitted("2001:db8::2"), admitted("2001:db8::3")],
            [true, true, false]
        );
        assert!(admitted("2001:db8:0:1::1"));
    }

    #[test]
    fn only_trusted_proxies_say_who_calls() {
        let limits = Limits::new(NonZeroU32::MIN, vec!["10.0.0.0/8".parse().unwrap()]);
        let check = |peer: &str, forwarded: &[&'static str], expect: &str| {
            let mut headers = HeaderMap::new();
            for list in forwarded {
                headers.append("x-forwarded-for", HeaderValue::from_static(list));
            }
            assert_eq!(limits.address(ip(peer), &headers), ip(expect), "{forwarded:?}");
        };
        check("1.2.3.4", &["5.6.7.8"], "1.2.3.4");
        check("10.0.0.1", &[], "10.0.0.1");
        check("10.0.0.1", &["5.6.7.8"], "5.6.7.8");
        check("10.0.0.1", &["9.9.9.9, 5.6.7.8, 10.0.0.2"], "5.6.7.8");
        check("10.0.0.1", &["9.9.9.9", "5.6.7.8"], "5.6.7.8");
        check("10.0.0.1", &["5.6.7.8, nonsense"], "10.0.0.1");
        check("::ffff:10.0.0.1", &["5.6.7.8"], "5.6.7.8");
    }
}
