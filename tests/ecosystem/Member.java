import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** A member of a group, with Kafka's own client; see groups.py for what a member is told and tells. */
public final class Member implements ConsumerRebalanceListener {
    private final KafkaConsumer<byte[], byte[]> consumer;
    /** Set by who wants it to end; a commit under way is not disturbed, so that what became of it is known. */
    private volatile boolean over;

    private Member(String bootstrap, String group, String protocol) {
        Properties settings = new Properties();
        settings.putAll(Map.of("bootstrap.servers", bootstrap, "group.id", group, "group.protocol", protocol,
            "auto.offset.reset", "earliest", "enable.auto.commit", "false", "max.poll.records", "50"));
        if (protocol.equals("classic")) {
            settings.putAll(Map.of("session.timeout.ms", "6000", "heartbeat.interval.ms", "1000"));
        }
        consumer = new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    public static void main(String[] arguments) throws InterruptedException {
        Member member = new Member(arguments[0], arguments[1], arguments[3]);
        Thread main = Thread.currentThread();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            member.over = true;
            try {
                main.join();
            } catch (InterruptedException ignored) {
                Thread.currentThread().interrupt();
            }
        }));
        member.run(arguments[2]);
    }

    private void run(String topic) {
        consumer.subscribe(List.of(topic), this);
        while (!over) {
            take(consumer.poll(Duration.ofMillis(200)));
        }
        consumer.close();
    }

    /** Records count as done once their offsets are committed. */
    private void take(ConsumerRecords<byte[], byte[]> records) {
        Map<TopicPartition, OffsetAndMetadata> next = new HashMap<>();
        records.partitions().forEach(partition -> {
            long last = records.records(partition).get(records.records(partition).size() - 1).offset();
            next.put(partition, new OffsetAndMetadata(last + 1));
        });
        if (next.isEmpty()) {
            return;
        }
        tell("READ", records);
        try {
            consumer.commitSync(next);
            tell("DONE", records);
        } catch (CommitFailedException | RebalanceInProgressException | RetriableException refused) {
            // Whoever has the partitions next reads the records again, and so does this one where it still has them.
            consumer.assignment().stream().filter(next::containsKey)
                .forEach(kept -> consumer.seek(kept, records.records(kept).get(0).offset()));
            System.out.println("REFUSED " + refused.getClass().getSimpleName());
        }
    }

    private static void tell(String word, ConsumerRecords<byte[], byte[]> records) {
        records.partitions().forEach(partition -> {
            long first = records.records(partition).get(0).offset();
            long last = records.records(partition).get(records.records(partition).size() - 1).offset();
            System.out.println(word + " " + partition.partition() + " " + first + " " + last);
        });
    }

    private static void tell(String word, Collection<TopicPartition> partitions) {
        if (!partitions.isEmpty()) {
            System.out.println(word + " " + System.currentTimeMillis() + " " + partitions.stream()
                .map(partition -> String.valueOf(partition.partition())).collect(Collectors.joining(",")));
        }
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
        tell("OWN", partitions);
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
        tell("GIVE", partitions);
    }

    @Override
    public void onPartitionsLost(Collection<TopicPartition> partitions) {
        tell("LOST", partitions);
    }
}
