//! What is served of one API: a row of the table in `dispatch`.

use std::ops::RangeInclusive;

use crate::protocol::ApiKey;
use crate::protocol::messages::ApiVersion;

/// One row of the table.
#[derive(Clone, Debug)]
pub struct Served {
    /// The API.
    pub api: ApiKey,
    /// What ApiVersions answers.
    pub advertised: RangeInclusive<i16>,
    /// What the handler's contract says: the first lines of its file.
    pub handler: &'static str,
}

impl Served {
    /// As ApiVersions has it.
    pub fn row(&self) -> ApiVersion {
        let (min_version, max_version) = (*self.advertised.start(), *self.advertised.end());
        ApiVersion { api_key: self.api.code(), min_version, max_version }
    }
}
