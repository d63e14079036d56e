//! A broker's side of the control plane.
//!
//! A broker is not a member of the metadata quorum. It registers with it, keeps a control stream with every voter,
//! follows the metadata feed into a published image, and sends commands to the quorum's leader. All of that goes
//! over gRPC, also when broker and controller share the process: one code path.
//!
//! ```text
//!   registration ──► broker epoch ──► heartbeats to every voter ──► unfenced once the image has applied the registration
//!   feed_client  ──► PublishedImage: the newest image and its changes, for partitions, groups, handlers
//!   ControllerCalls ──► submit(command) -> reply, at whichever voter leads
//!   wakefulness  ──► after a suspension: no word as coordinator before the image has caught up with the waking
//! ```
//!
//! It keeps no metadata on disk, decides nothing about metadata, and never shows an image that goes back.

mod channels;
mod controller_calls;
mod error;
mod feed_client;
mod heartbeats;
mod lifecycle;
mod published_image;
mod registration;
mod tasks;
mod wakefulness;
mod waking;

pub use channels::{VoterAddress, announce, probe};
pub use controller_calls::ControllerCalls;
pub use error::ClusterError;
pub use lifecycle::{BrokerLifecycle, LifecycleState};
pub use published_image::{ImageSubscription, PublishedImage};
pub use registration::{BrokerIdentity, Cluster, ClusterConfig};
pub use tasks::spawn_or_abort;
