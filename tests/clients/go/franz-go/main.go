// franz-go in the client matrix: kgo for records and groups, kadm for the rest.
package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	. "ottla/tests/clients/go/cells"
)

var admin *kadm.Client

func client(options ...kgo.Opt) *kgo.Client {
	return Must(kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(Bootstrap)}, options...)...))
}

func makeTopic(ctx context.Context, kind string, partitions int32) string {
	topic := Unique(kind)
	Check(Must(admin.CreateTopic(ctx, partitions, 1, nil, topic)).Err)
	Until("metadata of "+topic, func() bool {
		return len(Must(admin.ListTopics(ctx, topic))[topic].Partitions) == int(partitions)
	})
	return topic
}

func records(topic string, values []string) []*kgo.Record {
	var made []*kgo.Record
	for _, value := range values {
		made = append(made, &kgo.Record{Topic: topic, Partition: 0, Value: []byte(value)})
	}
	return made
}

func produce(ctx context.Context, made []*kgo.Record, options ...kgo.Opt) {
	producer := client(append(options, kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	defer producer.Close()
	Check(producer.ProduceSync(ctx, made...).FirstErr())
}

// take polls until it has the number of records.
func take(ctx context.Context, consumer *kgo.Client, count int) []*kgo.Record {
	var taken []*kgo.Record
	for len(taken) < count {
		fetches := consumer.PollRecords(ctx, count-len(taken))
		Check(fetches.Err())
		taken = append(taken, fetches.Records()...)
	}
	return taken
}

func read(ctx context.Context, topic string, count int, from kgo.Offset, options ...kgo.Opt) []*kgo.Record {
	from0 := kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: from}})
	consumer := client(append(options, from0)...)
	defer consumer.Close()
	return take(ctx, consumer, count)
}

func readValues(ctx context.Context, topic string, count int) []string {
	return values(read(ctx, topic, count, kgo.NewOffset().AtStart()))
}

func values(taken []*kgo.Record) []string {
	var found []string
	for _, record := range taken {
		found = append(found, string(record.Value))
	}
	return found
}

func acks(level kgo.Acks) func(context.Context) string {
	return func(ctx context.Context) string {
		topic := makeTopic(ctx, "acks", 1)
		options := []kgo.Opt{kgo.RequiredAcks(level)}
		if level != kgo.AllISRAcks() {
			options = append(options, kgo.DisableIdempotentWrite())
		}
		produce(ctx, records(topic, Values), options...)
		Equal(readValues(ctx, topic, len(Values)), Values)
		return ""
	}
}

func codec(name string, compression kgo.CompressionCodec) Cell {
	return Cell{Operation: name, Run: func(ctx context.Context) string {
		topic := makeTopic(ctx, name, 1)
		produce(ctx, records(topic, Values), kgo.ProducerBatchCompression(compression))
		Equal(readValues(ctx, topic, len(Values)), Values)
		return "topic=" + topic
	}}
}

func keysHeaders(ctx context.Context) string {
	topic := makeTopic(ctx, "headers", 1)
	headers := []kgo.RecordHeader{{Key: "first", Value: []byte("1")}, {Key: "empty", Value: []byte{}}, {Key: "null"},
		{Key: "first", Value: []byte("again")}}
	produce(ctx, []*kgo.Record{
		{Topic: topic, Key: []byte("ключ"), Value: []byte("value"), Headers: headers},
		{Topic: topic, Key: []byte("tombstone")},
	})
	taken := read(ctx, topic, 2, kgo.NewOffset().AtStart())
	Equal(string(taken[0].Key), "ключ")
	Equal(string(taken[0].Value), "value")
	Equal(fmt.Sprint(taken[0].Headers), fmt.Sprint(headers))
	Equal(taken[1].Value == nil, true)
	return ""
}

func fromBeginning(ctx context.Context) string {
	topic := makeTopic(ctx, "beginning", 1)
	produce(ctx, records(topic, Values))
	taken := read(ctx, topic, len(Values), kgo.NewOffset().AtStart())
	Equal(values(taken), Values)
	for i, record := range taken {
		Equal(record.Offset, int64(i))
	}
	return ""
}

func byTime(ctx context.Context) string {
	topic := makeTopic(ctx, "time", 1)
	start := time.Now().Add(-time.Minute).Truncate(time.Millisecond)
	var made []*kgo.Record
	for i := range 20 {
		at := start.Add(time.Duration(i) * time.Second)
		made = append(made, &kgo.Record{Topic: topic, Value: []byte(strconv.Itoa(i)), Timestamp: at})
	}
	produce(ctx, made)
	moment := start.Add(7500 * time.Millisecond).UnixMilli()
	found, _ := Must(admin.ListOffsetsAfterMilli(ctx, moment, topic)).Lookup(topic, 0)
	Equal(found.Offset, int64(8))
	Equal(string(read(ctx, topic, 12, kgo.NewOffset().AfterMilli(moment))[0].Value), "8")
	return ""
}

func member(topic, group string, options ...kgo.Opt) *kgo.Client {
	settings := []kgo.Opt{kgo.ConsumeTopics(topic), kgo.ConsumerGroup(group), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.HeartbeatInterval(500 * time.Millisecond),
		kgo.SessionTimeout(10 * time.Second)}
	return client(append(settings, options...)...)
}

func commitResume(ctx context.Context) string {
	topic, group := makeTopic(ctx, "commit", 1), Unique("group")
	produce(ctx, records(topic, Values))
	first := member(topic, group)
	Check(first.CommitRecords(ctx, take(ctx, first, 20)...))
	first.Close()
	second := member(topic, group)
	defer second.Close()
	Equal(values(take(ctx, second, 30)), Values[20:])
	return ""
}

func rebalance(ctx context.Context) string {
	for _, balancer := range []kgo.GroupBalancer{kgo.RangeBalancer(), kgo.CooperativeStickyBalancer()} {
		rebalanceBy(ctx, balancer)
	}
	return ""
}

func rebalanceBy(ctx context.Context, balancer kgo.GroupBalancer) {
	topic, group := makeTopic(ctx, "rebalance", 4), Unique("group")
	owned := func(expected ...int) func() bool {
		return func() bool {
			described := Must(admin.DescribeGroups(ctx, group))[group]
			if described.State != "Stable" || len(described.Members) != len(expected) {
				return false
			}
			for i, member := range described.Members {
				assigned, ok := member.Assigned.AsConsumer()
				if !ok || len(assigned.Topics) != 1 || len(assigned.Topics[0].Partitions) != expected[i] {
					return false
				}
			}
			return true
		}
	}
	polling := func(consumer *kgo.Client) {
		for !consumer.PollFetches(ctx).IsClientClosed() && ctx.Err() == nil {
		}
	}
	first := member(topic, group, kgo.Balancers(balancer))
	go polling(first)
	Until("the first member owns all partitions", owned(4))
	second := member(topic, group, kgo.Balancers(balancer))
	defer second.Close()
	go polling(second)
	Until("two partitions each", owned(2, 2))
	first.Close()
	Until("the member that stays owns all partitions", owned(4))
}

func createTopic(ctx context.Context) string {
	topic := makeTopic(ctx, "create", 3)
	Equal(len(Must(admin.ListTopics(ctx, topic))[topic].Partitions), 3)
	again := Must(admin.CreateTopics(ctx, 1, 1, nil, topic))[topic]
	Equal(errors.Is(again.Err, kerr.TopicAlreadyExists), true)
	return ""
}

func describeTopic(ctx context.Context) string {
	topic := makeTopic(ctx, "describe", 2)
	described := Must(admin.ListTopics(ctx, topic))[topic]
	Equal(len(described.Partitions), 2)
	for _, partition := range described.Partitions {
		Equal(partition.ISR, []int32{partition.Leader})
	}
	return ""
}

func deleteTopic(ctx context.Context) string {
	topic := makeTopic(ctx, "delete", 1)
	Check(Must(admin.DeleteTopic(ctx, topic)).Err)
	Until("the topic is gone", func() bool { return !Must(admin.ListTopics(ctx)).Has(topic) })
	return ""
}

func topicConfig(ctx context.Context, topic, key string) string {
	described := Must(Must(admin.DescribeTopicConfigs(ctx, topic)).On(topic, nil))
	for _, config := range described.Configs {
		if config.Key == key {
			return config.MaybeValue()
		}
	}
	return ""
}

func describeConfig(ctx context.Context) string {
	topic := makeTopic(ctx, "config", 1)
	Equal(topicConfig(ctx, topic, "cleanup.policy"), "delete")
	broker := Must(admin.ListBrokers(ctx))[0].NodeID
	Equal(len(Must(Must(admin.DescribeBrokerConfigs(ctx, broker)).On(strconv.Itoa(int(broker)), nil)).Configs) > 50, true)
	return ""
}

func alterConfig(ctx context.Context) string {
	topic := makeTopic(ctx, "alter", 1)
	value := "123456"
	change := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &value}}
	Check(Must(admin.AlterTopicConfigs(ctx, change, topic))[0].Err)
	Until("retention.ms is set", func() bool { return topicConfig(ctx, topic, "retention.ms") == value })
	return ""
}

func createPartitions(ctx context.Context) string {
	topic := makeTopic(ctx, "partitions", 1)
	Check(Must(admin.CreatePartitions(ctx, 2, topic)).Error())
	Until("three partitions", func() bool { return len(Must(admin.ListTopics(ctx, topic))[topic].Partitions) == 3 })
	return ""
}

func groupWithMember(ctx context.Context) (topic, group string, joined *kgo.Client) {
	topic, group = makeTopic(ctx, "groups", 1), Unique("group")
	produce(ctx, records(topic, Values[:5]))
	joined = member(topic, group)
	Check(joined.CommitRecords(ctx, take(ctx, joined, 5)...))
	return topic, group, joined
}

func listGroups(ctx context.Context) string {
	_, group, joined := groupWithMember(ctx)
	defer joined.Close()
	_, listed := Must(admin.ListGroups(ctx))[group]
	Equal(listed, true)
	return ""
}

func describeGroup(ctx context.Context) string {
	topic, group, joined := groupWithMember(ctx)
	defer joined.Close()
	described := Must(admin.DescribeGroups(ctx, group))[group]
	Equal(described.State+strconv.Itoa(len(described.Members)), "Stable1")
	offset, _ := Must(admin.FetchOffsets(ctx, group)).Lookup(topic, 0)
	Equal(offset.At, int64(5))
	lag := Must(admin.Lag(ctx, group))[group].Lag
	Equal(lag[topic][0].Lag, int64(0))
	return ""
}

func deleteGroup(ctx context.Context) string {
	_, group, joined := groupWithMember(ctx)
	refused := Must(admin.DeleteGroups(ctx, group))[group]
	Equal(errors.Is(refused.Err, kerr.NonEmptyGroup), true)
	joined.Close()
	Until("the group is deleted", func() bool { return Must(admin.DeleteGroups(ctx, group))[group].Err == nil })
	_, listed := Must(admin.ListGroups(ctx))[group]
	Equal(listed, false)
	return ""
}

func idempotent(ctx context.Context) string {
	topic := makeTopic(ctx, "idempotent", 1)
	produce(ctx, records(topic, Values)) // kgo is idempotent unless told otherwise.
	Equal(readValues(ctx, topic, len(Values)), Values)
	return ""
}

func transactional(id string) *kgo.Client {
	return client(kgo.TransactionalID(id), kgo.RecordPartitioner(kgo.ManualPartitioner()))
}

func begin(ctx context.Context, producer *kgo.Client, topic string, values []string) {
	Check(producer.BeginTransaction())
	Check(producer.ProduceSync(ctx, records(topic, values)...).FirstErr())
}

func committed(ctx context.Context, topic string, count int) []string {
	return values(read(ctx, topic, count, kgo.NewOffset().AtStart(), kgo.FetchIsolationLevel(kgo.ReadCommitted())))
}

func transactionCommit(ctx context.Context) string {
	topic, producer := makeTopic(ctx, "commit", 1), transactional(Unique("transaction"))
	defer producer.Close()
	for _, part := range [][]string{Values[:5], Values[5:10]} {
		begin(ctx, producer, topic, part)
		Check(producer.EndTransaction(ctx, kgo.TryCommit))
	}
	Equal(committed(ctx, topic, 10), Values[:10])
	return ""
}

func transactionAbort(ctx context.Context) string {
	topic, producer := makeTopic(ctx, "abort", 1), transactional(Unique("transaction"))
	defer producer.Close()
	begin(ctx, producer, topic, Values[:5])
	Check(producer.EndTransaction(ctx, kgo.TryAbort))
	begin(ctx, producer, topic, Values[5:10])
	Check(producer.EndTransaction(ctx, kgo.TryCommit))
	Equal(committed(ctx, topic, 5), Values[5:10])
	Equal(readValues(ctx, topic, 10), Values[:10])
	return ""
}

func transactionOffsets(ctx context.Context) string {
	source, target, group := makeTopic(ctx, "source", 1), makeTopic(ctx, "target", 1), Unique("group")
	produce(ctx, records(source, Values[:5]))
	session := Must(kgo.NewGroupTransactSession(kgo.SeedBrokers(Bootstrap), kgo.ConsumerGroup(group),
		kgo.ConsumeTopics(source), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.RequireStableFetchOffsets(),
		kgo.TransactionalID(Unique("transaction")), kgo.RecordPartitioner(kgo.ManualPartitioner())))
	defer session.Close()
	for _, end := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit} {
		Equal(values(take(ctx, session.Client(), 5)), Values[:5]) // Again after the abort.
		Check(session.Begin())
		Check(session.ProduceSync(ctx, records(target, []string{"made of five"})...).FirstErr())
		ended := Must(session.End(ctx, end))
		Equal(ended, bool(end))
		_, found := Must(admin.FetchOffsets(ctx, group)).Lookup(source, 0)
		Equal(found, bool(end))
	}
	Equal(committed(ctx, target, 1), []string{"made of five"})
	return ""
}

func transactionFencing(ctx context.Context) string {
	topic, id := makeTopic(ctx, "fencing", 1), Unique("transaction")
	zombie := transactional(id)
	defer zombie.Close()
	begin(ctx, zombie, topic, Values[:5])
	successor := transactional(id)
	defer successor.Close()
	begin(ctx, successor, topic, Values[5:10])
	err := zombie.EndTransaction(ctx, kgo.TryCommit)
	fenced := errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch)
	Equal([]any{fenced, err != nil}, []any{true, true})
	Check(successor.EndTransaction(ctx, kgo.TryCommit))
	Equal(committed(ctx, topic, 5), Values[5:10])
	return ""
}

func deleteRecords(ctx context.Context) string {
	topic := makeTopic(ctx, "records", 1)
	produce(ctx, records(topic, Values))
	var offsets kadm.Offsets
	offsets.AddOffset(topic, 0, 10, -1)
	deleted, _ := Must(admin.DeleteRecords(ctx, offsets)).Lookup(topic, 0)
	Equal(deleted.LowWatermark, int64(10))
	Equal(read(ctx, topic, 40, kgo.NewOffset().AtStart())[0].Offset, int64(10))
	return ""
}

func listOffsets(ctx context.Context) string {
	topic := makeTopic(ctx, "offsets", 1)
	produce(ctx, records(topic, Values))
	start, _ := Must(admin.ListStartOffsets(ctx, topic)).Lookup(topic, 0)
	end, _ := Must(admin.ListEndOffsets(ctx, topic)).Lookup(topic, 0)
	Equal([]int64{start.Offset, end.Offset}, []int64{0, int64(len(Values))})
	newest, _ := Must(admin.ListMaxTimestampOffsets(ctx, topic)).Lookup(topic, 0)
	Equal(newest.Offset >= 0, true)
	return ""
}

func logDirs(ctx context.Context) string {
	topic := makeTopic(ctx, "dirs", 1)
	produce(ctx, records(topic, Values))
	size := int64(0)
	Must(admin.DescribeAllLogDirs(ctx, nil)).Each(func(dir kadm.DescribedLogDir) {
		if partition, ok := dir.Topics.Lookup(topic, 0); ok {
			size = partition.Size
		}
	})
	Equal(size > 0, true)
	return ""
}

func apiVersions(ctx context.Context) string {
	for _, broker := range Must(admin.ApiVersions(ctx)) {
		Check(broker.Err)
		highest, ok := broker.KeyMaxVersion(0)
		Equal(ok && highest >= 9, true)
		return "looks like Kafka " + strings.TrimSpace(broker.VersionGuess())
	}
	panic("no broker answered")
}

func main() {
	admin = kadm.NewClient(client())
	NotApplicable("the client has no such call", "quorum", "perf")
	Run([]Cell{
		{Operation: "metadata", Run: func(ctx context.Context) string {
			metadata := Must(admin.BrokerMetadata(ctx))
			Equal(len(metadata.Brokers) >= 1 && metadata.Cluster != "", true)
			return ""
		}},
		{Operation: "acks-0", Run: acks(kgo.NoAck())},
		{Operation: "acks-1", Run: acks(kgo.LeaderAck())},
		{Operation: "acks-all", Run: acks(kgo.AllISRAcks())},
		codec("gzip", kgo.GzipCompression()), codec("snappy", kgo.SnappyCompression()),
		codec("lz4", kgo.Lz4Compression()), codec("zstd", kgo.ZstdCompression()),
		{Operation: "keys-headers", Run: keysHeaders},
		{Operation: "from-beginning", Run: fromBeginning},
		{Operation: "by-time", Run: byTime},
		{Operation: "commit-resume", Run: commitResume},
		{Operation: "rebalance", Run: rebalance},
		{Operation: "create-topic", Run: createTopic},
		{Operation: "describe-topic", Run: describeTopic},
		{Operation: "delete-topic", Run: deleteTopic},
		{Operation: "describe-config", Run: describeConfig},
		{Operation: "alter-config", Run: alterConfig},
		{Operation: "create-partitions", Run: createPartitions},
		{Operation: "list-groups", Run: listGroups},
		{Operation: "describe-group", Run: describeGroup},
		{Operation: "delete-group", Run: deleteGroup},
		{Operation: "idempotent", Run: idempotent},
		{Operation: "transaction-commit", Run: transactionCommit},
		{Operation: "transaction-abort", Run: transactionAbort},
		{Operation: "transaction-offsets", Run: transactionOffsets},
		{Operation: "transaction-fencing", Run: transactionFencing},
		{Operation: "delete-records", Run: deleteRecords},
		{Operation: "list-offsets", Run: listOffsets},
		{Operation: "log-dirs", Run: logDirs},
		{Operation: "api-versions", Run: apiVersions},
	})
}
