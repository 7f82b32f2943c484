//! What is compared.

use anyhow::{Result, bail};

/// One configuration of Envoy, and how many tokens its requests carry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Variant {
    pub(crate) name: &'static str,
    pub(crate) chain: Chain,
    /// Distinct tokens in the requests.
    pub(crate) tokens: usize,
}

/// The filters before the router.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Chain {
    Nothing,
    Empty,
    /// With so many revocations.
    Portcullis(usize),
    Jwt(Then),
    ExtAuthz {
        redis: bool,
    },
}

/// What follows jwt_authn.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Then {
    Nothing,
    /// With so many revocations.
    Portcullis(usize),
    /// A script with a table of so many sessions.
    Lua(usize),
    /// A policy with a matcher for each of so many sessions, as Istio writes an AuthorizationPolicy.
    Rbac(usize),
    /// A policy with one matcher that lists so many sessions.
    RbacFlat(usize),
}

pub(crate) const NONE: &str = "none";
pub(crate) const EMPTY: &str = "empty";
pub(crate) const EMPTY_DISTINCT: &str = "empty_100k_tokens";
pub(crate) const PORTCULLIS_0: &str = "portcullis_0";
pub(crate) const PORTCULLIS_1M: &str = "portcullis_1m";
pub(crate) const PORTCULLIS_10M: &str = "portcullis_10m";
pub(crate) const PORTCULLIS_DISTINCT: &str = "portcullis_1m_100k_tokens";
pub(crate) const JWT_PORTCULLIS: &str = "jwt_portcullis_1m";
pub(crate) const JWT_LUA: &str = "jwt_lua_10k";
pub(crate) const JWT_RBAC: &str = "jwt_rbac_10k";
pub(crate) const EXT_AUTHZ: &str = "ext_authz";

const K: usize = 1_000;
const M: usize = 1_000_000;

/// All of them, in the order of a round: what is compared stands close together.
pub(crate) const ALL: [Variant; 23] = [
    variant(NONE, Chain::Nothing, K),
    variant(EMPTY, Chain::Empty, K),
    variant(PORTCULLIS_1M, Chain::Portcullis(M), K),
    variant(EMPTY_DISTINCT, Chain::Empty, 100 * K),
    variant(PORTCULLIS_DISTINCT, Chain::Portcullis(M), 100 * K),
    variant(PORTCULLIS_0, Chain::Portcullis(0), K),
    variant(PORTCULLIS_10M, Chain::Portcullis(10 * M), K),
    variant("portcullis_1k", Chain::Portcullis(K), K),
    variant("portcullis_0_1_token", Chain::Portcullis(0), 1),
    variant("portcullis_0_100k_tokens", Chain::Portcullis(0), 100 * K),
    variant("portcullis_1k_100k_tokens", Chain::Portcullis(K), 100 * K),
    variant("portcullis_1m_1_token", Chain::Portcullis(M), 1),
    variant("portcullis_10m_1_token", Chain::Portcullis(10 * M), 1),
    variant("portcullis_10m_100k_tokens", Chain::Portcullis(10 * M), 100 * K),
    variant("jwt", Chain::Jwt(Then::Nothing), K),
    variant(JWT_PORTCULLIS, Chain::Jwt(Then::Portcullis(M)), K),
    variant(JWT_LUA, Chain::Jwt(Then::Lua(10 * K)), K),
    variant("jwt_rbac_10", Chain::Jwt(Then::Rbac(10)), K),
    variant("jwt_rbac_1k", Chain::Jwt(Then::Rbac(K)), K),
    variant(JWT_RBAC, Chain::Jwt(Then::Rbac(10 * K)), K),
    variant("jwt_rbac_flat_10k", Chain::Jwt(Then::RbacFlat(10 * K)), K),
    variant(EXT_AUTHZ, Chain::ExtAuthz { redis: false }, K),
    variant("ext_authz_redis", Chain::ExtAuthz { redis: true }, K),
];

const fn variant(name: &'static str, chain: Chain, tokens: usize) -> Variant {
    Variant { name, chain, tokens }
}

impl Variant {
    /// Revocations that its control plane holds; `None` without a control plane.
    pub(crate) fn revocations(&self) -> Option<usize> {
        match self.chain {
            Chain::Portcullis(count) | Chain::Jwt(Then::Portcullis(count)) => Some(count),
            _ => None,
        }
    }

    /// What a request with the token of a revoked session gets; `None` where nothing is revoked.
    pub(crate) fn refusal(&self) -> Option<u16> {
        match self.chain {
            Chain::Nothing | Chain::Empty | Chain::Jwt(Then::Nothing) => None,
            Chain::Jwt(Then::Rbac(_) | Then::RbacFlat(_)) => Some(403),
            Chain::Portcullis(_)
            | Chain::Jwt(Then::Portcullis(_) | Then::Lua(_))
            | Chain::ExtAuthz { .. } => Some(401),
        }
    }
}

/// The variants of these names, or all, without those of more than `most` revocations.
pub(crate) fn choose(only: &[String], most: usize) -> Result<Vec<Variant>> {
    for name in only {
        if !ALL.iter().any(|variant| variant.name == name) {
            let names: Vec<_> = ALL.iter().map(|variant| variant.name).collect();
            bail!("there is no variant `{name}`; there are {}", names.join(", "));
        }
    }
    let wanted = |variant: &&Variant| {
        if only.is_empty() {
            variant.revocations().is_none_or(|count| count <= most)
        } else {
            only.iter().any(|name| name == variant.name)
        }
    };
    Ok(ALL.iter().filter(wanted).copied().collect())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_variant_has_a_name_of_its_own() {
        let names: HashSet<_> = ALL.iter().map(|variant| variant.name).collect();
        assert_eq!(names.len(), ALL.len());
    }

    #[test]
    fn variants_are_chosen_by_name_and_by_size() {
        let names = |only: &[&str], most| {
            let only: Vec<String> = only.iter().map(|name| (*name).to_owned()).collect();
            choose(&only, most).map(|chosen| chosen.iter().map(|variant| variant.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&[EXT_AUTHZ, NONE], M).unwrap(), [NONE, EXT_AUTHZ]);
        assert_eq!(names(&[PORTCULLIS_10M], M).unwrap(), [PORTCULLIS_10M]);
        assert!(!names(&[], M).unwrap().contains(&PORTCULLIS_10M));
        assert_eq!(names(&[], usize::MAX).unwrap().len(), ALL.len());
        let error = names(&["nothing"], M).unwrap_err().to_string();
        assert!(error.contains("`nothing`") && error.contains("jwt_lua_10k"), "{error}");
    }
}
