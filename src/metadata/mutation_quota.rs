//! How many partitions a client's request may create and delete (KIP-599).
//!
//! The tokens that the client has left come in with the command, from the active controller, and what was spent goes out
//! with the reply. A strict request is refused topic by topic while there is a debt; any other is carried out, and its
//! client waits afterwards. Either way a topic is let through as a whole, however many partitions it has.

use super::draft::Refusal;
use crate::model::ErrorCode;
use crate::quota::refill_ms;
use crate::rpc::metadata::{MutationQuota, MutationsSpent};

/// What one request may still do.
pub(super) struct Allowance {
    /// `None` for clients without a limit.
    quota: Option<MutationQuota>,
    spent: MutationsSpent,
}

impl Allowance {
    pub(super) fn of(quota: Option<&MutationQuota>) -> Self {
        Self { quota: quota.cloned(), spent: MutationsSpent::default() }
    }

    /// So many partitions are to be created or deleted, and nothing else speaks against it.
    pub(super) fn spend(&mut self, partitions: usize) -> Result<(), Refusal> {
        let Some(quota) = &mut self.quota else { return Ok(()) };
        if quota.strict && quota.tokens < 0.0 {
            self.spent.throttle_time_ms = wait_ms(quota);
            return Err(Refusal::new(ErrorCode::ThrottlingQuotaExceeded, over(quota)));
        }
        quota.tokens -= partitions as f64;
        self.spent.partitions += partitions as i64;
        if !quota.strict {
            self.spent.throttle_time_ms = wait_ms(quota);
        }
        Ok(())
    }

    /// What it has done, for those that have a limit.
    pub(super) fn spent(self) -> Option<MutationsSpent> {
        self.quota.map(|_| self.spent)
    }
}

fn wait_ms(quota: &MutationQuota) -> i32 {
    i32::try_from(refill_ms(quota.tokens, quota.rate)).unwrap_or(i32::MAX)
}

fn over(quota: &MutationQuota) -> String {
    let (rate, wait_ms) = (quota.rate, wait_ms(quota));
    format!(
        "the client has created and deleted more partitions than its controller_mutation_rate of {rate} a second \
         allows: try again in {wait_ms} ms"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowance(strict: bool, tokens: f64) -> Allowance {
        Allowance::of(Some(&MutationQuota { strict, tokens, rate: 2.0, ..MutationQuota::default() }))
    }

    /// For each number of partitions, whether it is let through; and what was spent.
    fn spend(mut allowance: Allowance, partitions: &[usize]) -> (Vec<bool>, Option<(i64, i32)>) {
        let through = partitions.iter().map(|count| allowance.spend(*count).is_ok()).collect();
        (through, allowance.spent().map(|spent| (spent.partitions, spent.throttle_time_ms)))
    }

    #[test]
    fn a_strict_request_goes_on_until_there_is_a_debt_and_waits_only_when_refused() {
        assert_eq!(spend(allowance(true, 10.0), &[4, 50]), (vec![true, true], Some((54, 0))));
        assert_eq!(spend(allowance(true, 3.0), &[3, 4, 1, 1]), (vec![true, true, false, false], Some((7, 2_000))));
        assert_eq!(spend(allowance(true, 0.0), &[1]), (vec![true], Some((1, 0))));
        assert_eq!(spend(allowance(true, -0.5), &[1]), (vec![false], Some((0, 250))));
    }

    #[test]
    fn any_other_request_is_carried_out_and_waits_for_its_debt() {
        assert_eq!(spend(allowance(false, 10.0), &[4, 6]), (vec![true, true], Some((10, 0))));
        assert_eq!(spend(allowance(false, -1.0), &[4, 6]), (vec![true, true], Some((10, 5_500))));
    }

    #[test]
    fn who_has_no_limit_may_do_anything() {
        assert_eq!(spend(Allowance::of(None), &[usize::MAX, 1]), (vec![true, true], None));
    }
}
