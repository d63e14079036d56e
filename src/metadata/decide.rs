//! The leader decides: commands in, records and replies out.
//!
//! A batch of commands is decided over one image, in order, and each command sees the records of those
//! before it. The batch's records go into the log as one entry, together with the index of the image that
//! they were decided on; an entry that finds another image when it is applied is dropped, and its callers
//! ask again. So a decision never takes effect in a state other than the one it was made in.
//!
//! `decide` is total. A refusal is a reply, and a refused command leaves no record.

use super::cluster_control;
use super::draft::{ClusterDefaults, Draft, Refusal};
use super::image::ClusterImage;
use super::schema::ConfigSchema;
use crate::model::ErrorCode;
use crate::rpc::metadata::{
    MetadataCommand, MetadataRecord, MetadataReply, metadata_command::Kind, metadata_reply::Kind as Reply,
};

/// The commands that become one entry of the log.
pub struct Batch<'a> {
    draft: Draft<'a>,
    base_index: i64,
}

impl<'a> Batch<'a> {
    /// Begins a batch over the applied image.
    pub fn new(image: &ClusterImage, defaults: &'a ClusterDefaults, schema: &'a dyn ConfigSchema) -> Self {
        Self { draft: Draft::new(image.clone(), defaults, schema), base_index: image.applied_index() }
    }

    /// Decides one command.
    pub fn decide(&mut self, command: &MetadataCommand) -> MetadataReply {
        let mut draft = self.draft.branch();
        let decided = decide(&mut draft, command);
        if decided.is_ok() {
            self.draft.merge(draft);
        }
        reply(decided, self.draft.image().applied_index())
    }

    /// The image as it will be once the records so far have been replayed.
    pub fn image(&self) -> &ClusterImage {
        self.draft.image()
    }

    /// The metadata index that the image must have for the records to be replayed.
    pub fn base_index(&self) -> i64 {
        self.base_index
    }

    /// The records of all commands decided, in order: the first has the index `base_index() + 1`.
    pub fn into_records(self) -> Vec<MetadataRecord> {
        self.draft.into_records()
    }
}

fn decide(draft: &mut Draft<'_>, command: &MetadataCommand) -> Result<Option<Reply>, Refusal> {
    let unknown = || Refusal::new(ErrorCode::UnsupportedVersion, "this controller does not know the command");
    match command.kind.as_ref().ok_or_else(unknown)? {
        Kind::InitializeCluster(command) => cluster_control::initialize(draft, command).map(done),
        _ => Err(unknown()),
    }
}

fn done(reply: Reply) -> Option<Reply> {
    Some(reply)
}

fn reply(decided: Result<Option<Reply>, Refusal>, metadata_index: i64) -> MetadataReply {
    let (error_code, error_message, kind) = match decided {
        Ok(kind) => (ErrorCode::None, String::new(), kind),
        Err(refusal) => (refusal.code, refusal.message, None),
    };
    MetadataReply { error_code: error_code.code().into(), error_message, metadata_index, kind }
}
