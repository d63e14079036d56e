// sarama in the client matrix.
package main

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	. "ottla/tests/clients/go/cells"
)

var admin sarama.ClusterAdmin

func config(change func(*sarama.Config)) *sarama.Config {
	settings := sarama.NewConfig()
	settings.Version = sarama.MaxVersion
	settings.Producer.Return.Successes = true
	settings.Producer.Partitioner = sarama.NewManualPartitioner
	settings.Consumer.Offsets.Initial = sarama.OffsetOldest
	settings.Consumer.Offsets.AutoCommit.Enable = false
	settings.Consumer.Group.Heartbeat.Interval = 500 * time.Millisecond
	if change != nil {
		change(settings)
	}
	return settings
}

func client() sarama.Client { return Must(sarama.NewClient([]string{Bootstrap}, config(nil))) }

func makeTopic(kind string, partitions int32) string {
	topic := Unique(kind)
	Check(admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1}, false))
	Until("metadata of "+topic, func() bool {
		return len(Must(admin.DescribeTopics([]string{topic}))[0].Partitions) == int(partitions)
	})
	return topic
}

func messages(topic string, values []string) []*sarama.ProducerMessage {
	var made []*sarama.ProducerMessage
	for _, value := range values {
		made = append(made, &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(value)})
	}
	return made
}

func produce(made []*sarama.ProducerMessage, change func(*sarama.Config)) {
	producer := Must(sarama.NewSyncProducer([]string{Bootstrap}, config(change)))
	defer producer.Close()
	Check(producer.SendMessages(made))
}

// read reads one partition from an offset on.
func read(ctx context.Context, topic string, count int, from int64) []*sarama.ConsumerMessage {
	return readAs(ctx, topic, count, from, sarama.ReadUncommitted)
}

func readAs(ctx context.Context, topic string, count int, from int64, isolation sarama.IsolationLevel) []*sarama.ConsumerMessage {
	settings := config(func(settings *sarama.Config) { settings.Consumer.IsolationLevel = isolation })
	consumer := Must(sarama.NewConsumer([]string{Bootstrap}, settings))
	defer consumer.Close()
	partition := Must(consumer.ConsumePartition(topic, 0, from))
	defer partition.Close()
	var taken []*sarama.ConsumerMessage
	for len(taken) < count {
		select {
		case message := <-partition.Messages():
			taken = append(taken, message)
		case <-ctx.Done():
			panic(ctx.Err())
		}
	}
	return taken
}

func values(taken []*sarama.ConsumerMessage) []string {
	var found []string
	for _, message := range taken {
		found = append(found, string(message.Value))
	}
	return found
}

func roundTrip(kind string, change func(*sarama.Config)) func(context.Context) string {
	return func(ctx context.Context) string {
		topic := makeTopic(kind, 1)
		produce(messages(topic, Values), change)
		Equal(values(read(ctx, topic, len(Values), sarama.OffsetOldest)), Values)
		return "topic=" + topic
	}
}

func acks(level sarama.RequiredAcks) func(context.Context) string {
	run := roundTrip("acks", func(settings *sarama.Config) { settings.Producer.RequiredAcks = level })
	return func(ctx context.Context) string { run(ctx); return "" }
}

func codec(name string, codec sarama.CompressionCodec) Cell {
	return Cell{Operation: name, Run: roundTrip(name, func(settings *sarama.Config) {
		settings.Producer.Compression = codec
	})}
}

func keysHeaders(ctx context.Context) string {
	topic := makeTopic("headers", 1)
	headers := []sarama.RecordHeader{{Key: []byte("first"), Value: []byte("1")}, {Key: []byte("empty"), Value: []byte{}},
		{Key: []byte("first"), Value: []byte("again")}}
	produce([]*sarama.ProducerMessage{
		{Topic: topic, Key: sarama.StringEncoder("ключ"), Value: sarama.StringEncoder("value"), Headers: headers},
		{Topic: topic, Key: sarama.StringEncoder("tombstone")},
	}, nil)
	taken := read(ctx, topic, 2, sarama.OffsetOldest)
	Equal(string(taken[0].Key)+string(taken[0].Value), "ключvalue")
	for i, header := range taken[0].Headers {
		Equal(string(header.Key)+string(header.Value), string(headers[i].Key)+string(headers[i].Value))
	}
	Equal(taken[1].Value == nil, true)
	return ""
}

func fromBeginning(ctx context.Context) string {
	topic := makeTopic("beginning", 1)
	produce(messages(topic, Values), nil)
	taken := read(ctx, topic, len(Values), sarama.OffsetOldest)
	Equal(values(taken), Values)
	for i, message := range taken {
		Equal(message.Offset, int64(i))
	}
	return ""
}

func byTime(ctx context.Context) string {
	topic := makeTopic("time", 1)
	start := time.Now().Add(-time.Minute).Truncate(time.Millisecond)
	var made []*sarama.ProducerMessage
	for i := range 20 {
		at := start.Add(time.Duration(i) * time.Second)
		value := sarama.StringEncoder(strconv.Itoa(i))
		made = append(made, &sarama.ProducerMessage{Topic: topic, Value: value, Timestamp: at})
	}
	produce(made, nil)
	asking := client()
	defer asking.Close()
	offset := Must(asking.GetOffset(topic, 0, start.Add(7500*time.Millisecond).UnixMilli()))
	Equal(offset, int64(8))
	Equal(string(read(ctx, topic, 12, offset)[0].Value), "8")
	return ""
}

// member is a group member that marks and commits what it takes, up to a limit.
type member struct {
	limit int
	taken []string
	lock  sync.Mutex
	owned atomic.Int64
	group sarama.ConsumerGroup
	done  chan struct{}
}

func (m *member) Setup(session sarama.ConsumerGroupSession) error {
	owned := 0
	for _, partitions := range session.Claims() {
		owned += len(partitions)
	}
	m.owned.Store(int64(owned))
	return nil
}

func (m *member) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (m *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case message, open := <-claim.Messages():
			if !open {
				return nil
			}
			m.take(session, message)
		case <-session.Context().Done():
			return nil
		}
	}
}

func (m *member) take(session sarama.ConsumerGroupSession, message *sarama.ConsumerMessage) {
	m.lock.Lock()
	defer m.lock.Unlock()
	if len(m.taken) < m.limit {
		m.taken = append(m.taken, string(message.Value))
		session.MarkMessage(message, "a note")
		if len(m.taken) == m.limit {
			session.Commit()
		}
	}
}

func (m *member) count() int {
	m.lock.Lock()
	defer m.lock.Unlock()
	return len(m.taken)
}

func join(ctx context.Context, topic, group string, limit int) *member {
	joined := &member{limit: limit, done: make(chan struct{})}
	joined.group = Must(sarama.NewConsumerGroup([]string{Bootstrap}, group, config(nil)))
	go func() {
		defer close(joined.done)
		for ctx.Err() == nil {
			if errors.Is(joined.group.Consume(ctx, []string{topic}, joined), sarama.ErrClosedConsumerGroup) {
				return
			}
		}
	}()
	return joined
}

func (m *member) leave() {
	Check(m.group.Close())
	<-m.done
}

func commitResume(ctx context.Context) string {
	topic, group := makeTopic("commit", 1), Unique("group")
	produce(messages(topic, Values), nil)
	first := join(ctx, topic, group, 20)
	Until("twenty messages", func() bool { return first.count() == 20 })
	first.leave()
	offsets := Must(admin.ListConsumerGroupOffsets(group, map[string][]int32{topic: {0}}))
	Equal(offsets.GetBlock(topic, 0).Offset, int64(20))
	Equal(offsets.GetBlock(topic, 0).Metadata, "a note")
	second := join(ctx, topic, group, 30)
	Until("the other thirty", func() bool { return second.count() == 30 })
	second.leave()
	Equal(second.taken, Values[20:])
	return ""
}

func rebalance(ctx context.Context) string {
	topic, group := makeTopic("rebalance", 4), Unique("group")
	first := join(ctx, topic, group, 0)
	Until("the first member owns all partitions", func() bool { return first.owned.Load() == 4 })
	second := join(ctx, topic, group, 0)
	Until("two partitions each", func() bool { return first.owned.Load() == 2 && second.owned.Load() == 2 })
	first.leave()
	Until("the member that stays owns all partitions", func() bool { return second.owned.Load() == 4 })
	second.leave()
	return ""
}

func createTopic(context.Context) string {
	topic := makeTopic("create", 3)
	Equal(len(Must(admin.DescribeTopics([]string{topic}))[0].Partitions), 3)
	again := admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false)
	Equal(errors.Is(again, sarama.ErrTopicAlreadyExists), true)
	return ""
}

func describeTopic(context.Context) string {
	topic := makeTopic("describe", 2)
	described := Must(admin.DescribeTopics([]string{topic}))[0]
	Equal(len(described.Partitions), 2)
	for _, partition := range described.Partitions {
		Equal(partition.Isr, []int32{partition.Leader})
	}
	return ""
}

func deleteTopic(context.Context) string {
	topic := makeTopic("delete", 1)
	Check(admin.DeleteTopic(topic))
	Until("the topic is gone", func() bool { _, there := Must(admin.ListTopics())[topic]; return !there })
	return ""
}

func topicConfig(topic, key string) string {
	resource := sarama.ConfigResource{Type: sarama.TopicResource, Name: topic, ConfigNames: []string{key}}
	return Must(admin.DescribeConfig(resource))[0].Value
}

func describeConfig(context.Context) string {
	Equal(topicConfig(makeTopic("config", 1), "cleanup.policy"), "delete")
	brokers, _, err := admin.DescribeCluster()
	Check(err)
	resource := sarama.ConfigResource{Type: sarama.BrokerResource, Name: strconv.Itoa(int(brokers[0].ID()))}
	Equal(len(Must(admin.DescribeConfig(resource))) > 50, true)
	return ""
}

func alterConfig(context.Context) string {
	topic, value := makeTopic("alter", 1), "123456"
	change := map[string]sarama.IncrementalAlterConfigsEntry{
		"retention.ms": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &value}}
	Check(admin.IncrementalAlterConfig(sarama.TopicResource, topic, change, false))
	Until("retention.ms is set", func() bool { return topicConfig(topic, "retention.ms") == value })
	return ""
}

func createPartitions(context.Context) string {
	topic := makeTopic("partitions", 1)
	Check(admin.CreatePartitions(topic, 3, nil, false))
	Until("three partitions", func() bool {
		return len(Must(admin.DescribeTopics([]string{topic}))[0].Partitions) == 3
	})
	return ""
}

func groupWithMember(ctx context.Context) (group string, joined *member) {
	topic, group := makeTopic("groups", 1), Unique("group")
	joined = join(ctx, topic, group, 0)
	Until("the member owns its partition", func() bool { return joined.owned.Load() == 1 })
	return group, joined
}

func listGroups(ctx context.Context) string {
	group, joined := groupWithMember(ctx)
	defer joined.leave()
	Equal(Must(admin.ListConsumerGroups())[group], "consumer")
	return ""
}

func describeGroup(ctx context.Context) string {
	group, joined := groupWithMember(ctx)
	defer joined.leave()
	described := Must(admin.DescribeConsumerGroups([]string{group}))[0]
	Equal(described.State+strconv.Itoa(len(described.Members)), "Stable1")
	return ""
}

func deleteGroup(ctx context.Context) string {
	group, joined := groupWithMember(ctx)
	Equal(errors.Is(admin.DeleteConsumerGroup(group), sarama.ErrNonEmptyGroup), true)
	joined.leave()
	Check(admin.DeleteConsumerGroup(group))
	_, listed := Must(admin.ListConsumerGroups())[group]
	Equal(listed, false)
	return ""
}

func idempotent(settings *sarama.Config) {
	settings.Producer.Idempotent = true
	settings.Producer.RequiredAcks = sarama.WaitForAll
	settings.Net.MaxOpenRequests = 1
}

func transactional(id string) sarama.SyncProducer {
	return Must(sarama.NewSyncProducer([]string{Bootstrap}, config(func(settings *sarama.Config) {
		idempotent(settings)
		settings.Producer.Transaction.ID = id
	})))
}

func begin(producer sarama.SyncProducer, topic string, values []string) {
	Check(producer.BeginTxn())
	Check(producer.SendMessages(messages(topic, values)))
}

func committed(ctx context.Context, topic string, count int) []string {
	return values(readAs(ctx, topic, count, sarama.OffsetOldest, sarama.ReadCommitted))
}

func transactionCommit(ctx context.Context) string {
	topic, producer := makeTopic("commit", 1), transactional(Unique("transaction"))
	defer producer.Close()
	for _, part := range [][]string{Values[:5], Values[5:10]} {
		begin(producer, topic, part)
		Check(producer.CommitTxn())
	}
	Equal(committed(ctx, topic, 10), Values[:10])
	return ""
}

func transactionAbort(ctx context.Context) string {
	topic, producer := makeTopic("abort", 1), transactional(Unique("transaction"))
	defer producer.Close()
	begin(producer, topic, Values[:5])
	Check(producer.AbortTxn())
	begin(producer, topic, Values[5:10])
	Check(producer.CommitTxn())
	Equal(committed(ctx, topic, 5), Values[5:10])
	Equal(values(read(ctx, topic, 10, sarama.OffsetOldest)), Values[:10])
	return ""
}

func transactionOffsets(ctx context.Context) string {
	topic, group, producer := makeTopic("offsets", 1), Unique("group"), transactional(Unique("transaction"))
	defer producer.Close()
	offsets := map[string][]*sarama.PartitionOffsetMetadata{topic: {{Partition: 0, Offset: 5}}}
	at := func() int64 {
		return Must(admin.ListConsumerGroupOffsets(group, map[string][]int32{topic: {0}})).GetBlock(topic, 0).Offset
	}
	for _, part := range []struct {
		end      func() error
		expected int64
	}{{producer.AbortTxn, -1}, {producer.CommitTxn, 5}} {
		begin(producer, topic, []string{"made of five"})
		Check(producer.AddOffsetsToTxn(offsets, group))
		Check(part.end())
		Until("the offset is decided", func() bool { return at() == part.expected })
	}
	return ""
}

func transactionFencing(ctx context.Context) string {
	topic, id := makeTopic("fencing", 1), Unique("transaction")
	zombie := transactional(id)
	defer zombie.Close()
	begin(zombie, topic, Values[:5])
	successor := transactional(id)
	defer successor.Close()
	Equal(zombie.CommitTxn() != nil, true)
	begin(successor, topic, Values[5:10])
	Check(successor.CommitTxn())
	Equal(committed(ctx, topic, 5), Values[5:10])
	return ""
}

func deleteRecords(ctx context.Context) string {
	topic := makeTopic("records", 1)
	produce(messages(topic, Values), nil)
	Check(admin.DeleteRecords(topic, map[int32]int64{0: 10}))
	Equal(read(ctx, topic, 40, sarama.OffsetOldest)[0].Offset, int64(10))
	return ""
}

func listOffsets(context.Context) string {
	topic := makeTopic("offsets", 1)
	produce(messages(topic, Values), nil)
	asking := client()
	defer asking.Close()
	Equal(Must(asking.GetOffset(topic, 0, sarama.OffsetOldest)), int64(0))
	Equal(Must(asking.GetOffset(topic, 0, sarama.OffsetNewest)), int64(len(Values)))
	return ""
}

func logDirs(context.Context) string {
	topic := makeTopic("dirs", 1)
	produce(messages(topic, Values), nil)
	brokers, _, err := admin.DescribeCluster()
	Check(err)
	for _, dirs := range Must(admin.DescribeLogDirs([]int32{brokers[0].ID()})) {
		for _, dir := range dirs {
			for _, described := range dir.Topics {
				if described.Topic == topic && described.Partitions[0].Size > 0 {
					return ""
				}
			}
		}
	}
	panic("the topic lies in no log directory")
}

func apiVersions(context.Context) string {
	asking := client()
	defer asking.Close()
	broker := asking.Brokers()[0]
	Check(broker.Open(config(nil)))
	answer := Must(broker.ApiVersions(&sarama.ApiVersionsRequest{}))
	Equal(len(answer.ApiKeys) > 20, true)
	return ""
}

func main() {
	admin = Must(sarama.NewClusterAdmin([]string{Bootstrap}, config(nil)))
	NotApplicable("the client has no such call", "quorum", "perf")
	Run([]Cell{
		{Operation: "metadata", Run: func(context.Context) string {
			brokers, _, err := admin.DescribeCluster()
			Check(err)
			Equal(len(brokers) >= 1, true)
			return ""
		}},
		{Operation: "acks-0", Run: acks(sarama.NoResponse)},
		{Operation: "acks-1", Run: acks(sarama.WaitForLocal)},
		{Operation: "acks-all", Run: acks(sarama.WaitForAll)},
		codec("gzip", sarama.CompressionGZIP), codec("snappy", sarama.CompressionSnappy),
		codec("lz4", sarama.CompressionLZ4), codec("zstd", sarama.CompressionZSTD),
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
		{Operation: "idempotent", Run: roundTrip("idempotent", idempotent)},
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
