//! Who is let in, and who is fenced.

use std::sync::Arc;

use super::{ConsumerHeartbeat, ConsumerMember, Draft, JOIN_EPOCH, Refusal, STATIC_LEAVE_EPOCH, regex};
use crate::group::{ConsumerRecord, CurrentAssignment, Partitions};
use crate::model::ErrorCode;

fn invalid<T>(message: &str) -> Result<T, Refusal> {
    Err(Refusal::new(ErrorCode::InvalidRequest, message))
}

impl Draft<'_> {
    /// What a request must look like, whatever the group.
    pub(super) fn check_request(&self, request: &ConsumerHeartbeat) -> Result<(), Refusal> {
        let joins = request.member_epoch == JOIN_EPOCH;
        if request.member_id.is_empty() && (request.brings_member_id || !joins) {
            return invalid("MemberId can't be empty.");
        }
        if request.instance_id.as_deref() == Some("") {
            return invalid("InstanceId can't be empty.");
        }
        if request.rack_id.as_deref() == Some("") {
            return invalid("RackId can't be empty.");
        }
        if request.member_epoch < STATIC_LEAVE_EPOCH {
            return invalid("MemberEpoch is invalid.");
        }
        if request.member_epoch == STATIC_LEAVE_EPOCH && request.instance_id.is_none() {
            return invalid("InstanceId can't be null.");
        }
        if joins {
            check_join(request)?;
        }
        if let Some(expression) = request.regex.as_deref().filter(|expression| !expression.is_empty()) {
            regex::compile(expression).map_err(|error| {
                let message =
                    format!("SubscribedTopicRegex `{expression}` is not a valid regular expression: {error}.");
                Refusal::new(ErrorCode::InvalidRegularExpression, message)
            })?;
        }
        request.assignor.as_deref().map_or(Ok(()), |assignor| self.check_assignor(assignor))
    }

    /// A group that is full takes nobody new.
    pub(super) fn check_room(&self, member_id: &str) -> Result<(), Refusal> {
        let max = self.around.config.consumer.size_max;
        if self.group.len() < max || self.group.contains(member_id) {
            return Ok(());
        }
        let message = format!("The consumer group has reached its maximum capacity of {max} members.");
        Err(Refusal::new(ErrorCode::GroupMaxSizeReached, message))
    }

    /// The id of the member that speaks; one that joins may be new.
    pub(super) fn admit(&mut self, request: &ConsumerHeartbeat) -> Result<Arc<str>, Refusal> {
        let member_id: Arc<str> = request.member_id.as_str().into();
        let joins = request.member_epoch == JOIN_EPOCH;
        match &request.instance_id {
            Some(instance) if joins => self.admit_static(member_id, instance, true),
            Some(instance) => {
                let member_id = self.find_static(&member_id, instance)?;
                self.check_epoch(&member_id, request.member_epoch, request.owned.as_ref())?;
                Ok(member_id)
            }
            None if joins => Ok(member_id),
            None => {
                self.find(&member_id)?;
                self.check_epoch(&member_id, request.member_epoch, request.owned.as_ref())?;
                Ok(member_id)
            }
        }
    }

    /// A static member that comes, or comes back. While its former self has not left, it waits, unless one of the
    /// two speaks the classic protocol, in which who comes last is right.
    pub(super) fn admit_static(
        &mut self,
        member_id: Arc<str>,
        instance: &str,
        speaks_consumer_protocol: bool,
    ) -> Result<Arc<str>, Refusal> {
        let Some(former_id) = self.group.static_member(instance).cloned() else {
            return Ok(member_id);
        };
        let former = self.group.member(&former_id).cloned().unwrap_or_default();
        let has_left = former.current.epoch == STATIC_LEAVE_EPOCH;
        if speaks_consumer_protocol && !former.is_classic() && !has_left {
            let message = format!(
                "Static member {member_id} with instance id {instance} cannot join the group because the instance id \
                 is owned by {former_id} member."
            );
            return Err(Refusal::new(ErrorCode::UnreleasedInstanceId, message));
        }
        self.replace(&former_id, &former, &member_id);
        Ok(member_id)
    }

    /// The new id inherits everything, with an epoch of its own: whoever comes with the old one is unknown.
    fn replace(&mut self, former_id: &Arc<str>, former: &ConsumerMember, member_id: &Arc<str>) {
        self.remove(former_id);
        let (member_id, current) = (member_id.clone(), CurrentAssignment::clone(&former.current));
        let subscription = Some(former.subscription.clone());
        self.emit(ConsumerRecord::Subscription { member_id: member_id.clone(), value: subscription });
        self.emit(ConsumerRecord::Target { member_id: member_id.clone(), value: Some(former.target.clone()) });
        let current = CurrentAssignment { epoch: 0, previous_epoch: 0, ..current };
        self.emit(ConsumerRecord::Current { member_id, value: Some(Arc::new(current)) });
    }

    /// The member with this id.
    pub(super) fn find(&self, member_id: &str) -> Result<&ConsumerMember, Refusal> {
        let unknown = || format!("Member {member_id} is not a member of the group.");
        self.group.member(member_id).ok_or_else(|| Refusal::new(ErrorCode::UnknownMemberId, unknown()))
    }

    /// The id of the member that stands for an instance, if it is the one who speaks.
    pub(super) fn find_static(&self, member_id: &str, instance: &str) -> Result<Arc<str>, Refusal> {
        let Some(known) = self.group.static_member(instance) else {
            return Err(Refusal::new(ErrorCode::UnknownMemberId, format!("Instance id {instance} is unknown.")));
        };
        if **known != *member_id {
            let message =
                format!("Static member {member_id} with instance id {instance} was fenced by member {known}.");
            return Err(Refusal::new(ErrorCode::FencedInstanceId, message));
        }
        Ok(known.clone())
    }

    /// A member comes with the epoch it was told last; or with the one before, if it has not had our answer and so
    /// owns nothing that it was not told to.
    fn check_epoch(&self, member_id: &str, epoch: i32, owned: Option<&Partitions>) -> Result<(), Refusal> {
        let current = self.find(member_id)?.current.clone();
        let fenced = |which: &str| {
            let message = format!(
                "The consumer group member has a {which} member epoch ({epoch}) than the one known by the group \
                 coordinator ({}). The member must abandon all its partitions and rejoin.",
                current.epoch
            );
            Err(Refusal::new(ErrorCode::FencedMemberEpoch, message))
        };
        if epoch > current.epoch {
            return fenced("greater");
        }
        let owns_no_more =
            owned.is_some_and(|owned| owned.iter().all(|partition| current.assigned.contains_key(partition)));
        if epoch < current.epoch && !(epoch == current.previous_epoch && owns_no_more) {
            return fenced("smaller");
        }
        Ok(())
    }
}

fn check_join(request: &ConsumerHeartbeat) -> Result<(), Refusal> {
    if request.rebalance_timeout_ms.is_none() {
        return invalid("RebalanceTimeoutMs must be provided in first request.");
    }
    if request.owned.as_ref().is_none_or(|owned| !owned.is_empty()) {
        return invalid("TopicPartitions must be empty when (re-)joining.");
    }
    if request.topics.is_none() && request.regex.is_none() {
        return invalid("Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.");
    }
    Ok(())
}
