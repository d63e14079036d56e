//! The shipped binary as real processes on loopback: started, killed, stopped and asked over its sockets.

mod administration;
mod groups;
mod harness;
mod kills;
mod lifecycle;
mod startup;
