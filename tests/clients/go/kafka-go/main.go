// segmentio's kafka-go in the client matrix: Reader and Writer for records and groups, Client for the rest.
package main

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"

	. "ottla/tests/clients/go/cells"
)

var client = &kafka.Client{Addr: kafka.TCP(Bootstrap), Timeout: 20 * time.Second}

func makeTopic(ctx context.Context, kind string, partitions int) string {
	topic := Unique(kind)
	answer := Must(client.CreateTopics(ctx, &kafka.CreateTopicsRequest{
		Topics: []kafka.TopicConfig{{Topic: topic, NumPartitions: partitions, ReplicationFactor: 1}},
	}))
	Check(answer.Errors[topic])
	Until("metadata of "+topic, func() bool { return len(describe(ctx, topic).Partitions) == partitions })
	return topic
}

func describe(ctx context.Context, topic string) kafka.Topic {
	return Must(client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})).Topics[0]
}

func messages(values []string) []kafka.Message {
	var made []kafka.Message
	for _, value := range values {
		made = append(made, kafka.Message{Value: []byte(value)})
	}
	return made
}

func produce(ctx context.Context, topic string, made []kafka.Message, change func(*kafka.Writer)) {
	writer := &kafka.Writer{Addr: kafka.TCP(Bootstrap), Topic: topic, BatchTimeout: 5 * time.Millisecond,
		RequiredAcks: kafka.RequireAll}
	if change != nil {
		change(writer)
	}
	Check(writer.WriteMessages(ctx, made...))
	Check(writer.Close())
}

func take(ctx context.Context, reader *kafka.Reader, count int) []kafka.Message {
	var taken []kafka.Message
	for len(taken) < count {
		taken = append(taken, Must(reader.FetchMessage(ctx)))
	}
	return taken
}

func read(ctx context.Context, topic string, count int) []kafka.Message {
	reader := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{Bootstrap}, Topic: topic, MaxWait: 200 * time.Millisecond})
	defer reader.Close()
	return take(ctx, reader, count)
}

func values(taken []kafka.Message) []string {
	var found []string
	for _, message := range taken {
		found = append(found, string(message.Value))
	}
	return found
}

func roundTrip(kind string, change func(*kafka.Writer)) func(context.Context) string {
	return func(ctx context.Context) string {
		topic := makeTopic(ctx, kind, 1)
		produce(ctx, topic, messages(Values), change)
		Equal(values(read(ctx, topic, len(Values))), Values)
		return "topic=" + topic
	}
}

func acks(level kafka.RequiredAcks) func(context.Context) string {
	run := roundTrip("acks", func(writer *kafka.Writer) { writer.RequiredAcks = level })
	return func(ctx context.Context) string { run(ctx); return "" }
}

func codec(name string, compression kafka.Compression) Cell {
	return Cell{Operation: name, Run: roundTrip(name, func(writer *kafka.Writer) { writer.Compression = compression })}
}

func keysHeaders(ctx context.Context) string {
	topic := makeTopic(ctx, "headers", 1)
	headers := []kafka.Header{{Key: "first", Value: []byte("1")}, {Key: "first", Value: []byte("again")}}
	produce(ctx, topic, []kafka.Message{
		{Key: []byte("ключ"), Value: []byte("value"), Headers: headers},
		{Key: []byte("tombstone")},
	}, nil)
	taken := read(ctx, topic, 2)
	Equal(string(taken[0].Key)+string(taken[0].Value), "ключvalue")
	Equal(taken[0].Headers, headers)
	Equal(len(taken[1].Value), 0)
	return ""
}

func fromBeginning(ctx context.Context) string {
	topic := makeTopic(ctx, "beginning", 1)
	produce(ctx, topic, messages(Values), nil)
	taken := read(ctx, topic, len(Values))
	Equal(values(taken), Values)
	for i, message := range taken {
		Equal(message.Offset, int64(i))
	}
	return ""
}

func byTime(ctx context.Context) string {
	topic := makeTopic(ctx, "time", 1)
	start := time.Now().Add(-time.Minute).Truncate(time.Millisecond)
	var made []kafka.Message
	for i := range 20 {
		at := start.Add(time.Duration(i) * time.Second)
		made = append(made, kafka.Message{Value: []byte(strconv.Itoa(i)), Time: at})
	}
	produce(ctx, topic, made, nil)
	reader := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{Bootstrap}, Topic: topic})
	defer reader.Close()
	Check(reader.SetOffsetAt(ctx, start.Add(7500*time.Millisecond)))
	Equal(reader.Offset(), int64(8))
	Equal(string(take(ctx, reader, 12)[0].Value), "8")
	return ""
}

func member(topic, group string) *kafka.Reader {
	return kafka.NewReader(kafka.ReaderConfig{Brokers: []string{Bootstrap}, GroupID: group, Topic: topic,
		StartOffset: kafka.FirstOffset, HeartbeatInterval: 500 * time.Millisecond, SessionTimeout: 10 * time.Second,
		RebalanceTimeout: 10 * time.Second, MaxWait: 200 * time.Millisecond})
}

func commitResume(ctx context.Context) string {
	topic, group := makeTopic(ctx, "commit", 1), Unique("group")
	produce(ctx, topic, messages(Values), nil)
	first := member(topic, group)
	Check(first.CommitMessages(ctx, take(ctx, first, 20)...))
	Check(first.Close())
	offsets := Must(client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{topic: {0}}}))
	Equal(offsets.Topics[topic][0].CommittedOffset, int64(20))
	second := member(topic, group)
	defer second.Close()
	Equal(values(take(ctx, second, 30)), Values[20:])
	return ""
}

// owned tells how many partitions each member of a stable group has, or nothing while it rebalances.
func owned(ctx context.Context, group, topic string) []int {
	answer, err := client.DescribeGroups(ctx, &kafka.DescribeGroupsRequest{GroupIDs: []string{group}})
	if err != nil || answer.Groups[0].GroupState != "Stable" {
		return nil
	}
	var counts []int
	for _, member := range answer.Groups[0].Members {
		count := 0
		for _, assigned := range member.MemberAssignments.Topics {
			count += len(assigned.Partitions)
		}
		counts = append(counts, count)
	}
	return counts
}

func rebalance(ctx context.Context) string {
	topic, group := makeTopic(ctx, "rebalance", 4), Unique("group")
	is := func(expected ...int) func() bool {
		return func() bool {
			found := owned(ctx, group, topic)
			if len(found) != len(expected) {
				return false
			}
			for i := range found {
				if found[i] != expected[i] {
					return false
				}
			}
			return true
		}
	}
	first := member(topic, group)
	Until("the first member owns all partitions", is(4))
	second := member(topic, group)
	defer second.Close()
	Until("two partitions each", is(2, 2))
	Check(first.Close())
	Until("the member that stays owns all partitions", is(4))
	return ""
}

func createTopic(ctx context.Context) string {
	topic := makeTopic(ctx, "create", 3)
	Equal(len(describe(ctx, topic).Partitions), 3)
	again := Must(client.CreateTopics(ctx, &kafka.CreateTopicsRequest{
		Topics: []kafka.TopicConfig{{Topic: topic, NumPartitions: 1, ReplicationFactor: 1}},
	}))
	Equal(errors.Is(again.Errors[topic], kafka.TopicAlreadyExists), true)
	return ""
}

func describeTopic(ctx context.Context) string {
	described := describe(ctx, makeTopic(ctx, "describe", 2))
	Equal(len(described.Partitions), 2)
	for _, partition := range described.Partitions {
		Equal([]int{len(partition.Isr), partition.Isr[0].ID}, []int{1, partition.Leader.ID})
	}
	return ""
}

func deleteTopic(ctx context.Context) string {
	topic := makeTopic(ctx, "delete", 1)
	Check(Must(client.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{topic}})).Errors[topic])
	Until("the topic is gone", func() bool {
		for _, known := range Must(client.Metadata(ctx, &kafka.MetadataRequest{})).Topics {
			if known.Name == topic {
				return false
			}
		}
		return true
	})
	return ""
}

func topicConfig(ctx context.Context, topic, key string) string {
	resource := kafka.DescribeConfigRequestResource{ResourceType: kafka.ResourceTypeTopic, ResourceName: topic,
		ConfigNames: []string{key}}
	answer := Must(client.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{
		Resources: []kafka.DescribeConfigRequestResource{resource}}))
	return answer.Resources[0].ConfigEntries[0].ConfigValue
}

func describeConfig(ctx context.Context) string {
	Equal(topicConfig(ctx, makeTopic(ctx, "config", 1), "cleanup.policy"), "delete")
	return ""
}

func alterConfig(ctx context.Context) string {
	topic := makeTopic(ctx, "alter", 1)
	change := kafka.IncrementalAlterConfigsRequestConfig{Name: "retention.ms", Value: "123456",
		ConfigOperation: kafka.ConfigOperationSet}
	resource := kafka.IncrementalAlterConfigsRequestResource{ResourceType: kafka.ResourceTypeTopic, ResourceName: topic,
		Configs: []kafka.IncrementalAlterConfigsRequestConfig{change}}
	answer := Must(client.IncrementalAlterConfigs(ctx, &kafka.IncrementalAlterConfigsRequest{
		Resources: []kafka.IncrementalAlterConfigsRequestResource{resource}}))
	Check(answer.Resources[0].Error)
	Until("retention.ms is set", func() bool { return topicConfig(ctx, topic, "retention.ms") == "123456" })
	return ""
}

func createPartitions(ctx context.Context) string {
	topic := makeTopic(ctx, "partitions", 1)
	answer := Must(client.CreatePartitions(ctx, &kafka.CreatePartitionsRequest{
		Topics: []kafka.TopicPartitionsConfig{{Name: topic, Count: 3}}}))
	Check(answer.Errors[topic])
	Until("three partitions", func() bool { return len(describe(ctx, topic).Partitions) == 3 })
	return ""
}

func groupWithMember(ctx context.Context) (topic, group string, joined *kafka.Reader) {
	topic, group = makeTopic(ctx, "groups", 1), Unique("group")
	produce(ctx, topic, messages(Values[:5]), nil)
	joined = member(topic, group)
	take(ctx, joined, 5)
	return topic, group, joined
}

func listed(ctx context.Context, group string) bool {
	for _, entry := range Must(client.ListGroups(ctx, &kafka.ListGroupsRequest{})).Groups {
		if entry.GroupID == group {
			return true
		}
	}
	return false
}

func listGroups(ctx context.Context) string {
	_, group, joined := groupWithMember(ctx)
	defer joined.Close()
	Equal(listed(ctx, group), true)
	return ""
}

func describeGroup(ctx context.Context) string {
	topic, group, joined := groupWithMember(ctx)
	defer joined.Close()
	Equal(owned(ctx, group, topic), []int{1})
	return ""
}

func deleteGroup(ctx context.Context) string {
	_, group, joined := groupWithMember(ctx)
	remove := func() error {
		return Must(client.DeleteGroups(ctx, &kafka.DeleteGroupsRequest{GroupIDs: []string{group}})).Errors[group]
	}
	Equal(errors.Is(remove(), kafka.NonEmptyGroup), true)
	Check(joined.Close())
	Check(remove())
	Equal(listed(ctx, group), false)
	return ""
}

func listOffsets(ctx context.Context) string {
	topic := makeTopic(ctx, "offsets", 1)
	produce(ctx, topic, messages(Values), nil)
	answer := Must(client.ListOffsets(ctx, &kafka.ListOffsetsRequest{
		Topics: map[string][]kafka.OffsetRequest{topic: {kafka.FirstOffsetOf(0), kafka.LastOffsetOf(0)}}}))
	found := answer.Topics[topic][0]
	Equal([]int64{found.FirstOffset, found.LastOffset}, []int64{0, int64(len(Values))})
	return ""
}

func apiVersions(ctx context.Context) string {
	answer := Must(client.ApiVersions(ctx, &kafka.ApiVersionsRequest{}))
	Equal(len(answer.ApiKeys) > 20, true)
	return ""
}

func main() {
	NotApplicable("the client has no such call", "idempotent", "delete-records", "log-dirs", "quorum", "perf",
		"transaction-commit", "transaction-abort", "transaction-offsets", "transaction-fencing")
	Run([]Cell{
		{Operation: "metadata", Run: func(ctx context.Context) string {
			answer := Must(client.Metadata(ctx, &kafka.MetadataRequest{}))
			Equal(len(answer.Brokers) >= 1 && answer.ClusterID != "", true)
			return ""
		}},
		{Operation: "acks-0", Run: acks(kafka.RequireNone)},
		{Operation: "acks-1", Run: acks(kafka.RequireOne)},
		{Operation: "acks-all", Run: acks(kafka.RequireAll)},
		codec("gzip", kafka.Gzip), codec("snappy", kafka.Snappy), codec("lz4", kafka.Lz4), codec("zstd", kafka.Zstd),
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
		{Operation: "list-offsets", Run: listOffsets},
		{Operation: "api-versions", Run: apiVersions},
	})
}
