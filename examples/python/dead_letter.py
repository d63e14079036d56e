"""Puts what cannot be processed aside instead of stopping at it: dead_letter.py [host:port]

Sends five orders to `orders`, one of them broken, processes them as a group, and sends the broken one with the reason
in its headers to `orders.dead-letters`, where somebody can look at it and send it again.
"""
import json
import sys

from kafka import KafkaConsumer, KafkaProducer

bootstrap = sys.argv[1] if len(sys.argv) > 1 else "localhost:9092"
producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all")
for value in [b'{"amount": 12}', b'{"amount": 7}', b"not json", b'{"amount": 30}', b'{"amount": 1}']:
    producer.send("orders", value)
producer.flush()

consumer = KafkaConsumer(
    "orders",
    bootstrap_servers=bootstrap,
    group_id="billing",
    auto_offset_reset="earliest",
    enable_auto_commit=False,
    consumer_timeout_ms=10_000,
)
total = 0
for order in consumer:
    try:
        total += json.loads(order.value)["amount"]
    except (ValueError, KeyError) as error:
        headers = [("reason", str(error).encode()), ("from", f"{order.topic}-{order.partition}@{order.offset}".encode())]
        # Only once the dead letter is safe may the order count as processed.
        producer.send("orders.dead-letters", order.value, key=order.key, headers=headers).get(timeout=10)
    consumer.commit()
consumer.close()
print(f"billed {total}")

letters = KafkaConsumer(
    "orders.dead-letters", bootstrap_servers=bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=3_000
)
for letter in letters:
    print(f"dead letter {letter.value.decode()}: {dict(letter.headers)['reason'].decode()}")
letters.close()
producer.close()
