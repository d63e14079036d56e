#!/usr/bin/env bash
# Makes the files in data/ with a real Apache Kafka 4.3.1, and dump.txt with Kafka's own DumpLogSegments.
#   KAFKA_LIBS=/path/to/kafka/libs ./generate.sh [PORT]
# Needs java and javac 17 or later. Takes about a minute. Prints what it does.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
libs=${KAFKA_LIBS:?set KAFKA_LIBS to the libs folder of Kafka 4.3.1}
port=${1:-39092}
work=$(mktemp -d)
trap 'stop; rm -rf "$work"' EXIT
options=(-Xmx512M "-Dlog4j2.configurationFile=$work/log4j2.properties" -cp "$libs/*:$work")
run() { java "${options[@]}" "$@"; }

cat > "$work/log4j2.properties" <<P
rootLogger.level=WARN
rootLogger.appenderRef.c.ref=C
appender.c.type=Console
appender.c.name=C
appender.c.target=SYSTEM_ERR
appender.c.layout.type=PatternLayout
appender.c.layout.pattern=%p %c{1} %m%n
P
cat > "$work/server.properties" <<P
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((port + 1))
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=$work/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
log.cleaner.backoff.ms=200
log.index.size.max.bytes=65536
P

start() {
  java "${options[@]}" kafka.Kafka "$work/server.properties" > "$work/out.log" 2>&1 &
  broker=$!
  until (exec 3<>"/dev/tcp/127.0.0.1/$port") 2> /dev/null; do sleep 0.2; done
}
stop() {
  [ -n "${broker:-}" ] || return 0
  kill "$broker" 2> /dev/null || true
  wait "$broker" || true
  broker=
}

echo "compiling Generate.java"
javac -cp "$libs/*" -d "$work" "$here/Generate.java"
run kafka.tools.StorageTool format -t 5L6g3nShT-eMCtK--X86sw -c "$work/server.properties" > "$work/format.log" 2>&1
echo "first run of the broker"
start
run Generate "127.0.0.1:$port" first
stop
echo "second run of the broker: another leader epoch"
start
run Generate "127.0.0.1:$port" second
stop

echo "copying the partitions to $here/data"
rm -rf "$here/data" && mkdir "$here/data"
cd "$work/data"
rm -rf __cluster_metadata-0
cp -r -- *-0 *-checkpoint meta.properties "$here/data/"
echo "dumping them to $here/dump.txt"
cd "$here/data"
files=$(find . -name '*.log' -o -name '*.index' -o -name '*.timeindex' -o -name '*.txnindex' -o -name '*.snapshot' | sed 's,^\./,,' | LC_ALL=C sort | paste -sd,)
run org.apache.kafka.tools.DumpLogSegments --print-data-log --files "$files" > "$here/dump.txt"
du -sh "$here/data"
