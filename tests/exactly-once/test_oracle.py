"""The oracle finds each kind of mistake in a small output that has it, and nothing in one that has none."""

from oracle import Output, judge

COMMITTED = {0: 4, 1: 0}


def output(source, transaction, index, size, doomed=False):
    return Output(0, source, transaction, index, size, doomed)


GOOD = [output(0, "a/1", 0, 2), output(1, "a/1", 1, 2), output(2, "b/1", 0, 2), output(3, "b/1", 1, 2)]


def kinds(outputs):
    return sorted({kind for kind, _ in judge(COMMITTED, outputs).wrong()})


def test_an_exact_output_is_not_complained_about():
    verdict = judge(COMMITTED, GOOD)
    assert (verdict.records, verdict.transactions, verdict.wrong()) == (4, 2, [])


def test_a_transaction_that_is_missing_is_lost():
    assert judge(COMMITTED, GOOD[:2]).lost == [(0, 2), (0, 3)]


def test_a_source_that_is_there_twice_is_duplicated():
    again = [output(2, "c/1", 0, 1)]
    assert kinds(GOOD + again) == ["duplicated"]


def test_half_a_transaction_is_seen_beside_the_loss():
    assert kinds(GOOD[:3]) == ["half", "lost"]


def test_a_record_of_a_transaction_that_was_to_be_aborted_is_an_aborted_read():
    assert kinds(GOOD + [output(3, "c/1", 0, 1, doomed=True)]) == ["aborted_read"]


def test_output_whose_offset_was_not_committed_came_too_early():
    assert judge(COMMITTED, GOOD + [output(4, "c/1", 0, 1)]).early == [(0, 4)]


def test_output_that_is_not_in_the_order_of_its_input_is_reordered():
    assert kinds(GOOD[2:] + GOOD[:2]) == ["reordered"]


def test_a_record_reads_back_as_clients_write_it():
    assert Output.parse(b"0 3 b/1 1 2 kept") == GOOD[3]
    assert Output.parse(b"0 3 b/1 1 2 doomed").doomed
