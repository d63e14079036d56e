// Reads JSON events as a group, until nothing comes for ten seconds: go run ./consumer [host:port]
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	bootstrap := "localhost:9092"
	if len(os.Args) > 1 {
		bootstrap = os.Args[1]
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(bootstrap),
		kgo.ConsumeTopics("user-events"),
		kgo.ConsumerGroup("analytics-go"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	)
	if err != nil {
		log.Fatal(err)
	}
	// Commits what was read, and leaves the group.
	defer client.CloseAllowingRebalance()
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		fetches := client.PollFetches(ctx)
		cancel()
		if ctx.Err() == context.DeadlineExceeded && fetches.NumRecords() == 0 {
			break
		}
		fetches.EachError(func(topic string, partition int32, err error) {
			log.Printf("%s-%d: %v", topic, partition, err)
		})
		fetches.EachRecord(func(record *kgo.Record) {
			fmt.Printf("%s-%d@%d: %s\n", record.Topic, record.Partition, record.Offset, record.Value)
		})
	}
	if err := client.CommitUncommittedOffsets(context.Background()); err != nil {
		log.Print(err)
	}
}
