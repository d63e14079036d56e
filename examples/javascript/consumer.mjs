// Reads JSON events as a group, until nothing comes for ten seconds: node consumer.mjs [host:port]
import { Kafka, logLevel } from "kafkajs";

const kafka = new Kafka({ brokers: [process.argv[2] ?? "localhost:9092"], logLevel: logLevel.ERROR });
const consumer = kafka.consumer({ groupId: "analytics-javascript" });
// Leaving the group commits what was read.
const stop = () => consumer.disconnect();
let quiet = setTimeout(stop, 20_000);
await consumer.connect();
await consumer.subscribe({ topic: "user-events", fromBeginning: true });
await consumer.run({
  eachMessage: async ({ topic, partition, message }) => {
    console.log(`${topic}-${partition}@${message.offset}: ${message.value}`);
    clearTimeout(quiet);
    quiet = setTimeout(stop, 10_000);
  },
});
