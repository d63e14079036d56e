//! Which limit holds for a client.

use std::sync::Arc;

use super::client_quotas::{EntityName, QuotaEntity, QuotaLimits, QuotaShare};
use super::image::ClusterImage;

impl ClusterImage {
    /// True when nobody is limited in anything.
    pub fn has_no_client_quotas(&self) -> bool {
        self.client_quotas.is_empty()
    }

    /// All entities with limits, in order.
    pub fn client_quotas(&self) -> impl Iterator<Item = (&QuotaEntity, &Arc<QuotaLimits>)> {
        self.client_quotas.iter()
    }

    /// The limit `key` that holds for a client, and who shares it. The most special one holds, the user before the client
    /// id: user and client, user and any client, user; the same for any user; then client, and any client.
    pub fn client_quota(&self, user: &str, client_id: &str, key: &str) -> Option<(QuotaShare, f64)> {
        let name = |name: &str| Some(EntityName::Name(name.into()));
        let any = || Some(EntityName::Default);
        let (both, of_user, of_client) = ((true, true), (true, false), (false, true));
        let precedence = [
            (name(user), name(client_id), both),
            (name(user), any(), both),
            (name(user), None, of_user),
            (any(), name(client_id), both),
            (any(), any(), both),
            (any(), None, of_user),
            (None, name(client_id), of_client),
            (None, any(), of_client),
        ];
        precedence.into_iter().find_map(|(user_part, client_part, (by_user, by_client))| {
            let entity = QuotaEntity { user: user_part, client_id: client_part, ip: None };
            let limit = *self.client_quotas.get(&entity)?.get(key)?;
            let share =
                QuotaShare { user: by_user.then(|| user.into()), client_id: by_client.then(|| client_id.into()) };
            Some((share, limit))
        })
    }

    /// How many partitions a second a client may create and delete (KIP-599), and who shares that.
    pub fn mutation_quota(&self, user: &str, client_id: &str) -> Option<(QuotaShare, f64)> {
        if self.has_no_client_quotas() {
            return None;
        }
        self.client_quota(user, client_id, "controller_mutation_rate")
    }

    /// The limit `key` that holds for an address.
    pub fn ip_quota(&self, ip: &str, key: &str) -> Option<f64> {
        [EntityName::Name(ip.into()), EntityName::Default].into_iter().find_map(|name| {
            let entity = QuotaEntity { ip: Some(name), ..QuotaEntity::default() };
            self.client_quotas.get(&entity)?.get(key).copied()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::metadata::ClientQuotaRecord;

    /// An entity, and its limit.
    type Limit<'a> = (&'a [(&'a str, Option<&'a str>)], f64);

    fn image(limits: &[Limit<'_>]) -> ClusterImage {
        let mut image = ClusterImage::default();
        for (parts, value) in limits {
            let entity = QuotaEntity::from_parts(parts.iter().copied()).unwrap();
            let record = ClientQuotaRecord { entity: entity.to_parts(), key: "k".into(), value: Some(*value) };
            image.replay(&record.into(), image.applied_index() + 1).unwrap();
        }
        image
    }

    #[test]
    fn the_most_special_limit_holds_and_says_who_shares_it() {
        let (u, c) = (("user", Some("u")), ("client-id", Some("c")));
        let (any_u, any_c) = (("user", None), ("client-id", None));
        let all: [(&[_], f64); 8] = [
            (&[u, c], 1.0),
            (&[u, any_c], 2.0),
            (&[u], 3.0),
            (&[any_u, c], 4.0),
            (&[any_u, any_c], 5.0),
            (&[any_u], 6.0),
            (&[c], 7.0),
            (&[any_c], 8.0),
        ];
        for first in 0..all.len() {
            let image = image(&all[first..]);
            let (share, limit) = image.client_quota("u", "c", "k").unwrap();
            assert_eq!(limit, all[first].1);
            assert_eq!(share.user.is_some(), !matches!(first, 6 | 7), "{first}");
            assert_eq!(share.client_id.is_some(), !matches!(first, 2 | 5), "{first}");
            assert!(image.client_quota("u", "c", "other").is_none());
        }
        assert!(image(&all[..3]).client_quota("somebody", "else", "k").is_none());
    }

    #[test]
    fn entities_are_users_clients_both_or_addresses() {
        let of = |parts: &[(&str, Option<&str>)]| QuotaEntity::from_parts(parts.iter().copied());
        assert!(of(&[]).is_none() && of(&[("group", None)]).is_none());
        assert!(of(&[("user", None), ("user", Some("u"))]).is_none());
        assert!(of(&[("ip", None), ("user", None)]).is_none());
        let both = of(&[("client-id", None), ("user", Some("u"))]).unwrap();
        assert_eq!(both.parts().collect::<Vec<_>>(), [("user", Some("u")), ("client-id", None)]);
        assert_eq!(QuotaEntity::of(&both.to_parts()), Some(both));
    }

    #[test]
    fn a_removed_limit_leaves_nothing_behind() {
        let mut image = image(&[(&[("ip", Some("::1"))], 2.0)]);
        assert_eq!((image.ip_quota("::1", "k"), image.ip_quota("::2", "k")), (Some(2.0), None));
        let (entity, _) = image.client_quotas().next().unwrap();
        let gone = ClientQuotaRecord { entity: entity.to_parts(), key: "k".into(), value: None };
        image.replay(&gone.into(), image.applied_index() + 1).unwrap();
        assert!(image.has_no_client_quotas());
    }
}
