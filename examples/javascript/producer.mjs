// Sends JSON events: node producer.mjs [host:port]
import { Kafka, Partitioners, logLevel } from "kafkajs";

const kafka = new Kafka({ brokers: [process.argv[2] ?? "localhost:9092"], logLevel: logLevel.ERROR });
const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
await producer.connect();
for (let user = 1; user <= 10; user++) {
  const event = { user_id: user, action: "page_view", timestamp: new Date().toISOString() };
  const messages = [{ key: `user-${user}`, value: JSON.stringify(event) }];
  const [sent] = await producer.send({ topic: "user-events", messages });
  console.log(`user ${user} -> ${sent.topicName}-${sent.partition} at offset ${sent.baseOffset}`);
}
await producer.disconnect();
