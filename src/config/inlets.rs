//! `[inlets]`: what holds for every way in which identity providers' messages arrive.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;

use super::Webhook;

/// What holds for all inlets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Inlets {
    /// Where others reach this control plane, without a trailing slash: audiences of messages that name the
    /// address they are sent to.
    pub public_url: Option<String>,
    /// Most requests of one address in a minute; more are answered 429.
    pub requests_per_minute: NonZeroU32,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Certificate authorities to trust for https to providers, in PEM, instead of the public ones.
    pub ca_file: Option<PathBuf>,
    /// `[[webhooks]]`.
    pub webhooks: Vec<Webhook>,
}

impl Default for Inlets {
    fn default() -> Self {
        let requests_per_minute = NonZeroU32::new(6_000).unwrap_or(NonZeroU32::MIN);
        Self {
            public_url: None,
            requests_per_minute,
            trusted_proxies: Vec::new(),
            ca_file: None,
            webhooks: Vec::new(),
        }
    }
}

/// A range of addresses: `10.0.0.0/8`, or one address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Network {
    address: IpAddr,
    /// Leading bits that count.
    bits: u8,
}

impl Network {
    /// Whether an address is in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let shift = 32_u32.saturating_sub(u32::from(self.bits));
                u32::from(own).checked_shr(shift) == u32::from(other).checked_shr(shift)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let shift = 128_u32.saturating_sub(u32::from(self.bits));
                u128::from(own).checked_shr(shift) == u128::from(other).checked_shr(shift)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not an address or a network such as 10.0.0.0/8");
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(all), |bits| bits.parse().map_err(|_| wrong()))?;
        if bits > all { Err(wrong()) } else { Ok(Self { address, bits }) }
    }
}

/// An URL that paths can be appended to.
pub(super) fn public_url(text: &str) -> Result<String, String> {
    let uri: axum::http::Uri = text.parse().map_err(|_| format!("`{text}` is not a URL"))?;
    let known = matches!(uri.scheme_str(), Some("https" | "http")) && uri.host().is_some();
    if !known || uri.query().is_some() {
        return Err(format!("`{text}` is not an http or https URL without a query"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_what_shares_their_bits() {
        let check = |network: &str, address: &str, expect| {
            let network: Network = network.parse().unwrap();
            assert_eq!(network.contains(address.parse().unwrap()), expect, "{network:?} {address}");
        };
        check("10.0.0.0/8", "10.255.0.1", true);
        check("10.0.0.0/8", "11.0.0.1", false);
        check("10.0.0.0/8", "::ffff:10.1.1.1", true);
        check("127.0.0.1", "127.0.0.1", true);
        check("127.0.0.1", "127.0.0.2", false);
        check("0.0.0.0/0", "8.8.8.8", true);
        check("0.0.0.0/0", "::1", false);
        check("fd00::/8", "fd12::1", true);
        for wrong in ["", "10.0.0.0/33", "10.0.0", "host", "10.0.0.0/-1", "::/129"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }
}
