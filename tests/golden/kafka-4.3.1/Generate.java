// Produces what generate.sh copies: one topic per thing to be read back.
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.*;

public class Generate {
    static final long START = 1_700_000_000_000L;
    static final long HOUR = 3_600_000L;
    static String bootstrap;

    public static void main(String[] args) throws Exception {
        bootstrap = args[0];
        if (args[1].equals("first")) first(); else second();
    }

    static void first() throws Exception {
        createTopics();
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) codec(codec, codec);
        codec("none", "log-append-time");
        segments(0, 12);
        idempotent();
        transactions();
        compacted();
        commitOffsets();
    }

    static void second() throws Exception {
        segments(12, 20);
    }

    static void createTopics() throws Exception {
        Map<String, Map<String, String>> topics = new LinkedHashMap<>();
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) topics.put(codec, Map.of());
        topics.put("log-append-time", Map.of("message.timestamp.type", "LogAppendTime"));
        topics.put("segments", Map.of("segment.ms", "" + HOUR, "index.interval.bytes", "0"));
        topics.put("idempotent", Map.of());
        topics.put("transactions", Map.of());
        topics.put("compacted", Map.of("cleanup.policy", "compact", "segment.ms", "" + HOUR,
            "min.cleanable.dirty.ratio", "0.01", "delete.retention.ms", "86400000000"));
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            List<NewTopic> all = new ArrayList<>();
            topics.forEach((name, configs) -> {
                Map<String, String> with = new HashMap<>(configs);
                with.put("retention.ms", "-1");
                all.add(new NewTopic(name, 1, (short) 1).configs(with));
            });
            admin.createTopics(all).all().get();
        }
    }

    static Producer<byte[], byte[]> producer(Map<String, Object> settings) {
        Map<String, Object> all = new HashMap<>(Map.of("bootstrap.servers", bootstrap, "linger.ms", 60_000,
            "batch.size", 100_000, "enable.idempotence", false));
        all.putAll(settings);
        return new KafkaProducer<>(all, new ByteArraySerializer(), new ByteArraySerializer());
    }

    static byte[] bytes(String text) {
        return text == null ? null : text.getBytes(StandardCharsets.UTF_8);
    }

    static ProducerRecord<byte[], byte[]> record(String topic, long timestamp, String key, String value) {
        return new ProducerRecord<>(topic, 0, timestamp, bytes(key), bytes(value));
    }

    // Three batches: mixed records, one record, and values that compress well and span several blocks.
    static void codec(String codec, String topic) {
        try (Producer<byte[], byte[]> producer = producer(Map.of("compression.type", codec))) {
            for (int i = 0; i < 8; i++) {
                ProducerRecord<byte[], byte[]> record = record(topic, START + 10L * (i % 5),
                    i % 3 == 0 ? null : "key-" + i, i % 4 == 3 ? null : "value ".repeat(i) + i);
                for (int h = 0; h < i % 3; h++) record.headers().add("header-" + h, h == 1 ? null : bytes("h" + i));
                producer.send(record);
            }
            producer.flush();
            producer.send(record(topic, START + 100, "only", "one"));
            producer.flush();
            int repeats = codec.equals("none") ? 20 : 4_000;
            for (int i = 0; i < 3; i++) producer.send(record(topic, START + 200, "long-" + i, ("0123456789-" + i).repeat(repeats)));
        }
    }

    // One batch each half hour, so that a segment holds two or three.
    static void segments(int from, int to) {
        try (Producer<byte[], byte[]> producer = producer(Map.of())) {
            for (int i = from; i < to; i++) {
                producer.send(record("segments", START + i * HOUR / 2, "key-" + i, "value-" + i));
                producer.send(record("segments", START + i * HOUR / 2 + 1, "key-" + i, "more of " + i));
                producer.flush();
            }
        }
    }

    static void idempotent() {
        try (Producer<byte[], byte[]> producer = producer(Map.of("enable.idempotence", true))) {
            for (int i = 0; i < 6; i++) {
                for (int k = 0; k <= i; k++) producer.send(record("idempotent", START + i, "key-" + k, "value-" + i));
                producer.flush();
            }
        }
    }

    static void transactions() {
        Map<String, Object> settings = Map.of("enable.idempotence", true, "transactional.id", "golden");
        try (Producer<byte[], byte[]> producer = producer(settings)) {
            producer.initTransactions();
            for (int i = 0; i < 5; i++) {
                producer.beginTransaction();
                for (int k = 0; k < 3; k++) producer.send(record("transactions", START + i, "key-" + k, "value-" + i));
                producer.flush();
                if (i % 2 == 0) producer.commitTransaction(); else producer.abortTransaction();
            }
        }
    }

    // Ten keys overwritten again and again, one of them deleted; waits until the cleaner has been there.
    static void compacted() {
        int sent = 0;
        try (Producer<byte[], byte[]> producer = producer(Map.of("compression.type", "gzip"))) {
            for (int round = 0; round < 6; round++) {
                for (int key = 0; key < 10; key++, sent++) {
                    if (key >= 10 - round) continue;
                    String value = key == 3 && round == 4 ? null : "round " + round;
                    producer.send(record("compacted", START + round * 2 * HOUR, "key-" + key, value));
                }
                producer.flush();
            }
        }
        Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap, "auto.offset.reset", "earliest");
        TopicPartition partition = new TopicPartition("compacted", 0);
        int seen = sent;
        while (seen > 16) {
            try (Consumer<byte[], byte[]> consumer =
                    new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
                consumer.assign(List.of(partition));
                long end = consumer.endOffsets(List.of(partition)).get(partition);
                for (seen = 0; consumer.position(partition) < end; ) seen += consumer.poll(Duration.ofMillis(200)).count();
            }
        }
    }

    static void commitOffsets() {
        Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap, "auto.offset.reset", "earliest",
            "group.id", "golden-group", "enable.auto.commit", false, "group.instance.id", "instance-1");
        try (Consumer<byte[], byte[]> consumer =
                new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.subscribe(List.of("none", "gzip"));
            int seen = 0;
            while (seen < 24) seen += consumer.poll(Duration.ofMillis(200)).count();
            consumer.commitSync(Map.of(new TopicPartition("none", 0), new OffsetAndMetadata(5, "half way"),
                new TopicPartition("gzip", 0), new OffsetAndMetadata(12, Optional.of(0), "")));
        }
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            admin.alterConsumerGroupOffsets("simple-group", Map.of(new TopicPartition("zstd", 0), new OffsetAndMetadata(3))).all().get();
            admin.alterConsumerGroupOffsets("deleted-group", Map.of(new TopicPartition("zstd", 0), new OffsetAndMetadata(4))).all().get();
            admin.deleteConsumerGroups(List.of("deleted-group")).all().get();
        } catch (Exception e) {
            throw new RuntimeException(e);
        }
    }
}
