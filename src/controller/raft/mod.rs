//! openraft's side of the house: types, stores, network. Nothing outside of `controller/raft/` names openraft.

mod types;
