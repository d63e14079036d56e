//! Which groups an invocation of `kafka-consumer-groups` means.

use super::failure::Failure;
use super::options::Given;
use crate::client::ClusterClient;
use crate::client::admin::groups;

/// Those of `--group`, or all; sorted, none twice.
pub(super) async fn meant(given: &Given, client: &mut ClusterClient) -> Result<Vec<String>, Failure> {
    if given.has("all-groups") {
        return Ok(groups::list(client).await?.into_iter().map(|group| group.group_id).collect());
    }
    let mut names: Vec<String> = given.values("group").map(str::to_owned).collect();
    names.sort();
    names.dedup();
    Ok(names)
}
