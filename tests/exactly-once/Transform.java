import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Random;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.AuthorizationException;
import org.apache.kafka.common.errors.OutOfOrderSequenceException;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Transforms with Kafka's own client; see fleet.py for what a transformer is told and does. */
public final class Transform {
    private final String source;
    private final String target;
    private final KafkaConsumer<String, String> consumer;
    private final KafkaProducer<String, String> producer;

    private Transform(String bootstrap, String group, String source, String target, String id, String size) {
        this.source = source;
        this.target = target;
        producer = new KafkaProducer<>(properties(Map.of("bootstrap.servers", bootstrap, "transactional.id", id,
            "transaction.timeout.ms", "20000")), new StringSerializer(), new StringSerializer());
        consumer = new KafkaConsumer<>(properties(Map.of("bootstrap.servers", bootstrap, "group.id", group,
            "auto.offset.reset", "earliest", "enable.auto.commit", "false", "session.timeout.ms", "6000",
            "heartbeat.interval.ms", "1000", "isolation.level", "read_committed", "max.poll.records", size)),
            new StringDeserializer(), new StringDeserializer());
    }

    public static void main(String[] arguments) {
        String id = arguments[4];
        String life = arguments[7];
        double abortPercent = Double.parseDouble(arguments[6]);
        try {
            new Transform(arguments[0], arguments[1], arguments[2], arguments[3], id, arguments[5])
                .run(id + "/" + life, abortPercent, new Random((id + life).hashCode()));
        } catch (RuntimeException fatal) {
            fatal.printStackTrace();
            System.exit(1);
        }
    }

    private void run(String name, double abortPercent, Random draw) {
        producer.initTransactions();
        consumer.subscribe(List.of(source));
        for (long number = 1; ; ) {
            List<ConsumerRecord<String, String>> batch = new ArrayList<>();
            consumer.poll(Duration.ofMillis(500)).forEach(batch::add);
            if (batch.isEmpty()) {
                continue;
            }
            boolean doomed = draw.nextDouble() * 100 < abortPercent;
            if (!committed(batch, name + "/" + number++, doomed)) {
                rewind();
            }
        }
    }

    private boolean committed(List<ConsumerRecord<String, String>> batch, String name, boolean doomed) {
        try {
            transform(batch, name, doomed);
            return !doomed;
        } catch (ProducerFencedException | OutOfOrderSequenceException | AuthorizationException fatal) {
            throw fatal;
        } catch (KafkaException abortable) {
            System.out.println("aborts: " + abortable);
            producer.abortTransaction();
            return false;
        }
    }

    private void transform(List<ConsumerRecord<String, String>> batch, String name, boolean doomed) {
        producer.beginTransaction();
        Map<TopicPartition, OffsetAndMetadata> after = new HashMap<>();
        int index = 0;
        for (ConsumerRecord<String, String> record : batch) {
            String value = record.partition() + " " + record.offset() + " " + name + " " + index++ + " " + batch.size()
                + (doomed ? " doomed" : " kept");
            producer.send(new ProducerRecord<>(target, record.partition(), null, value));
            after.put(new TopicPartition(source, record.partition()), new OffsetAndMetadata(record.offset() + 1));
        }
        producer.sendOffsetsToTransaction(after, consumer.groupMetadata());
        if (doomed) {
            producer.flush();
            producer.abortTransaction();
        } else {
            producer.commitTransaction();
        }
    }

    /** Back to what is committed, as if nothing had been read since. */
    private void rewind() {
        Map<TopicPartition, OffsetAndMetadata> committed = consumer.committed(consumer.assignment());
        committed.forEach((partition, offset) -> consumer.seek(partition, offset == null ? 0 : offset.offset()));
    }

    private static Properties properties(Map<String, String> entries) {
        Properties properties = new Properties();
        properties.putAll(entries);
        return properties;
    }
}
