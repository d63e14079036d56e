import java.time.Instant;
import java.util.Map;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.StringSerializer;

/** Sends JSON events: mvn compile exec:java -Dexec.mainClass=Producer -Dexec.args=[host:port] */
public class Producer {
    public static void main(String[] args) throws Exception {
        Map<String, Object> settings = Map.of(
            ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, args.length > 0 ? args[0] : "localhost:9092",
            ProducerConfig.KEY_SERIALIZER_CLASS_CONFIG, StringSerializer.class,
            ProducerConfig.VALUE_SERIALIZER_CLASS_CONFIG, StringSerializer.class);
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings)) {
            for (int user = 1; user <= 10; user++) {
                String value = String.format(
                    "{\"user_id\": %d, \"action\": \"page_view\", \"timestamp\": \"%s\"}", user, Instant.now());
                RecordMetadata sent = producer.send(new ProducerRecord<>("user-events", "user-" + user, value)).get();
                System.out.printf("user %d -> %s at offset %d%n", user, sent.topic() + "-" + sent.partition(), sent.offset());
            }
        }
    }
}
