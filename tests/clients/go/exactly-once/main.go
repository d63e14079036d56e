// Transforms with franz-go; tests/exactly-once/fleet.py says what a transformer is told and does.
package main

import (
	"context"
	"fmt"
	"log"
	"math/rand"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func number(text string) float64 {
	value, err := strconv.ParseFloat(text, 64)
	check(err)
	return value
}

func main() {
	bootstrap, group, source, target, id, life := os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5], os.Args[8]
	size, abortPercent := int(number(os.Args[6])), number(os.Args[7])
	session, err := kgo.NewGroupTransactSession(
		kgo.SeedBrokers(strings.Split(bootstrap, ",")...),
		kgo.ConsumerGroup(group), kgo.ConsumeTopics(source), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.TransactionalID(id), kgo.TransactionTimeout(20*time.Second), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(time.Second), kgo.RequireStableFetchOffsets(),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(time.Millisecond))
	check(err)
	ctx := context.Background()
	for transaction := 1; ; {
		waiting, enough := context.WithTimeout(ctx, 500*time.Millisecond)
		batch := session.PollRecords(waiting, size).Records()
		enough()
		if len(batch) == 0 {
			continue
		}
		doomed := rand.Float64()*100 < abortPercent
		transform(ctx, session, batch, target, fmt.Sprintf("%s/%s/%d", id, life, transaction), doomed)
		transaction++
	}
}

// transform ends the process when the session cannot go on; after an abort it has gone back to what is committed.
func transform(ctx context.Context, session *kgo.GroupTransactSession, batch []*kgo.Record, target, name string, doomed bool) {
	check(session.Begin())
	mark := "kept"
	if doomed {
		mark = "doomed"
	}
	failed := make(chan error, len(batch))
	for index, record := range batch {
		value := fmt.Sprintf("%d %d %s %d %d %s", record.Partition, record.Offset, name, index, len(batch), mark)
		made := &kgo.Record{Topic: target, Partition: record.Partition, Value: []byte(value)}
		session.Produce(ctx, made, func(_ *kgo.Record, err error) { failed <- err })
	}
	commit := kgo.TransactionEndTry(!doomed)
	check(session.Client().Flush(ctx))
	for range batch {
		if err := <-failed; err != nil {
			fmt.Println("aborts:", err)
			commit = kgo.TryAbort
		}
	}
	_, err := session.End(ctx, commit)
	check(err)
}
