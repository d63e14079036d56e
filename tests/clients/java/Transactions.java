import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Transactions with Kafka's own client, which its tools do not show: ends with 0 when the operation named by the first
 * argument does what it should. The others: bootstrap server, a topic with one partition, a name for ids and groups.
 */
public final class Transactions {
    private static final List<String> FIRST = List.of("1", "2", "3", "4", "5");
    private static final List<String> SECOND = List.of("6", "7", "8", "9", "10");
    private final String bootstrap;
    private final TopicPartition partition;
    private final String name;

    private Transactions(String bootstrap, String topic, String name) {
        this.bootstrap = bootstrap;
        this.partition = new TopicPartition(topic, 0);
        this.name = name;
    }

    public static void main(String[] arguments) {
        Transactions transactions = new Transactions(arguments[1], arguments[2], arguments[3]);
        switch (arguments[0]) {
            case "transaction-commit" -> transactions.commit();
            case "transaction-abort" -> transactions.abort();
            case "transaction-offsets" -> transactions.offsets();
            case "transaction-fencing" -> transactions.fencing();
            default -> throw new IllegalArgumentException(arguments[0]);
        }
        System.exit(0);
    }

    private void commit() {
        KafkaProducer<String, String> producer = producer();
        for (List<String> values : List.of(FIRST, SECOND)) {
            begin(producer, values);
            producer.commitTransaction();
        }
        equal(read("read_committed", 10), both());
    }

    private void abort() {
        KafkaProducer<String, String> producer = producer();
        begin(producer, FIRST);
        producer.abortTransaction();
        begin(producer, SECOND);
        producer.commitTransaction();
        equal(read("read_committed", 5), SECOND);
        equal(read("read_uncommitted", 10), both());
    }

    private void offsets() {
        KafkaProducer<String, String> producer = producer();
        KafkaConsumer<String, String> member = consumer("read_committed");
        member.subscribe(List.of(partition.topic()));
        begin(producer, FIRST);
        producer.commitTransaction();
        List<String> taken = new ArrayList<>();
        while (taken.size() < FIRST.size()) {
            member.poll(Duration.ofMillis(200)).forEach(record -> taken.add(record.value()));
        }
        for (boolean commits : new boolean[] {false, true}) {
            begin(producer, List.of("made of five"));
            producer.sendOffsetsToTransaction(Map.of(partition, new OffsetAndMetadata(5)), member.groupMetadata());
            if (commits) {
                producer.commitTransaction();
            } else {
                producer.abortTransaction();
            }
            OffsetAndMetadata committed = member.committed(Set.of(partition)).get(partition);
            equal(committed == null ? -1L : committed.offset(), commits ? 5L : -1L);
        }
    }

    private void fencing() {
        KafkaProducer<String, String> zombie = producer();
        begin(zombie, FIRST);
        KafkaProducer<String, String> successor = producer();
        try {
            zombie.commitTransaction();
            throw new AssertionError("the fenced producer committed");
        } catch (ProducerFencedException | InvalidProducerEpochException expected) {
            begin(successor, SECOND);
            successor.commitTransaction();
        }
        equal(read("read_committed", 5), SECOND);
    }

    private KafkaProducer<String, String> producer() {
        KafkaProducer<String, String> producer = new KafkaProducer<>(
            Map.of("bootstrap.servers", bootstrap, "transactional.id", name), new StringSerializer(), new StringSerializer());
        producer.initTransactions();
        return producer;
    }

    private KafkaConsumer<String, String> consumer(String isolation) {
        return new KafkaConsumer<>(Map.of("bootstrap.servers", bootstrap, "group.id", name, "isolation.level", isolation,
            "auto.offset.reset", "earliest", "enable.auto.commit", "false"), new StringDeserializer(), new StringDeserializer());
    }

    private void begin(KafkaProducer<String, String> producer, List<String> values) {
        producer.beginTransaction();
        values.forEach(value -> producer.send(new ProducerRecord<>(partition.topic(), 0, null, value)));
        producer.flush();
    }

    private List<String> read(String isolation, int count) {
        List<String> values = new ArrayList<>();
        try (KafkaConsumer<String, String> consumer = consumer(isolation)) {
            consumer.assign(List.of(partition));
            consumer.seek(partition, 0);
            while (values.size() < count) {
                consumer.poll(Duration.ofMillis(200)).forEach(record -> values.add(record.value()));
            }
        }
        return values;
    }

    private static List<String> both() {
        List<String> values = new ArrayList<>(FIRST);
        values.addAll(SECOND);
        return values;
    }

    private static void equal(Object found, Object expected) {
        if (!found.equals(expected)) {
            throw new AssertionError(found + " instead of " + expected);
        }
    }
}
