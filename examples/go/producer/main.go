// Sends JSON events: go run ./producer [host:port]
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

type event struct {
	UserID    int       `json:"user_id"`
	Action    string    `json:"action"`
	Timestamp time.Time `json:"timestamp"`
}

func main() {
	bootstrap := "localhost:9092"
	if len(os.Args) > 1 {
		bootstrap = os.Args[1]
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(bootstrap),
		kgo.DefaultProduceTopic("user-events"),
		kgo.AllowAutoTopicCreation(),
	)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	for user := 1; user <= 10; user++ {
		value, err := json.Marshal(event{user, "page_view", time.Now().UTC()})
		if err != nil {
			log.Fatal(err)
		}
		key := fmt.Appendf(nil, "user-%d", user)
		sent, err := client.ProduceSync(context.Background(), &kgo.Record{Key: key, Value: value}).First()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("user %d -> %s-%d at offset %d\n", user, sent.Topic, sent.Partition, sent.Offset)
	}
}
