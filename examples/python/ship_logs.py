"""Ships the lines of log files: ship_logs.py HOST:PORT FILE...

The key is the file's name, so that the lines of one file stay in order.
"""
import pathlib
import sys

from kafka import KafkaProducer

bootstrap, *files = sys.argv[1:]
producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=50, compression_type="gzip")
for file in map(pathlib.Path, files):
    lines = file.read_bytes().splitlines()
    for line in lines:
        producer.send("logs", key=file.stem.encode(), value=line)
    print(f"{file.name}: {len(lines)} lines")
producer.close()
