import io.debezium.transforms.ExtractNewRecordState;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.connect.data.Field;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.sink.SinkRecord;

/**
 * A topic of Debezium's envelopes as a sink has it in the end: Kafka Connect's own JSON converter reads keys and values,
 * Debezium's own transform unwraps them, an upsert by key keeps the last. Prints a line a row: Id, then name=value, each
 * behind a tab.
 */
public class DebeziumUnwrap {
    public static void main(String[] args) {
        JsonConverter keys = new JsonConverter();
        JsonConverter values = new JsonConverter();
        keys.configure(Map.of("schemas.enable", "true"), true);
        values.configure(Map.of("schemas.enable", "true"), false);
        ExtractNewRecordState<SinkRecord> unwrap = new ExtractNewRecordState<>();
        unwrap.configure(new HashMap<>());
        Map<String, Struct> rows = new TreeMap<>();
        for (ConsumerRecord<byte[], byte[]> message : all(args[0], args[1])) {
            SchemaAndValue key = keys.toConnectData(message.topic(), message.key());
            SchemaAndValue value = values.toConnectData(message.topic(), message.value());
            SinkRecord record = unwrap.apply(new SinkRecord(
                message.topic(), message.partition(), key.schema(), key.value(), value.schema(), value.value(),
                message.offset()));
            if (record == null) {
                continue;
            }
            String id = ((Struct) record.key()).getString("Id");
            if (record.value() == null) {
                rows.remove(id);
            } else {
                rows.put(id, (Struct) record.value());
            }
        }
        rows.forEach((id, row) -> {
            StringBuilder line = new StringBuilder(id);
            for (Field field : row.schema().fields()) {
                line.append('\t').append(field.name()).append('=').append(row.get(field));
            }
            System.out.println(line);
        });
    }

    private static List<ConsumerRecord<byte[], byte[]>> all(String servers, String topic) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", servers);
        settings.put("isolation.level", "read_committed");
        List<ConsumerRecord<byte[], byte[]>> found = new ArrayList<>();
        try (KafkaConsumer<byte[], byte[]> consumer =
                new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            List<TopicPartition> partitions = consumer.partitionsFor(topic).stream()
                .map(p -> new TopicPartition(topic, p.partition())).collect(Collectors.toList());
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            while (partitions.stream().anyMatch(p -> consumer.position(p) < ends.get(p))) {
                consumer.poll(Duration.ofMillis(500)).forEach(found::add);
            }
        }
        return found;
    }
}
