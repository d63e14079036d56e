// KafkaJS in the client matrix.
import zlib from 'node:zlib'
import kafkajs from 'kafkajs'
import snappy from 'kafkajs-snappy'
import lz4 from 'lz4-napi'
import { BOOTSTRAP, VALUES, equal, notApplicable, run, unique, until } from './cells.mjs'

const { Kafka, CompressionTypes, CompressionCodecs, ConfigResourceTypes, logLevel } = kafkajs

// KafkaJS brings gzip; the other codecs are for its users to plug in.
CompressionCodecs[CompressionTypes.Snappy] = snappy
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async encoder => lz4.compressFrameSync(encoder.buffer),
  decompress: async buffer => lz4.decompressFrameSync(buffer)
})
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async encoder => zlib.zstdCompressSync(encoder.buffer),
  decompress: async buffer => zlib.zstdDecompressSync(buffer)
})

const kafka = new Kafka({ clientId: 'matrix', brokers: [BOOTSTRAP], logLevel: logLevel.NOTHING })
const admin = kafka.admin()
await admin.connect()

async function makeTopic (kind, numPartitions = 1) {
  const topic = unique(kind)
  await admin.createTopics({ topics: [{ topic, numPartitions, replicationFactor: 1 }], waitForLeaders: true })
  return topic
}

async function produce (topic, values, { idempotent = false, ...sending } = {}) {
  const producer = kafka.producer({ idempotent, maxInFlightRequests: 1 })
  await producer.connect()
  const messages = values.map(value => (typeof value === 'string' ? { value, partition: 0 } : { partition: 0, ...value }))
  const [answer] = await producer.send({ topic, messages, ...sending })
  await producer.disconnect()
  return answer && Number(answer.baseOffset)
}

/** Reads `count` messages as a member of `groupId`; with `commit`, commits after the last one. */
async function take (topic, count, { groupId = unique('group'), seek, commit = false, readUncommitted = true } = {}) {
  const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 200, readUncommitted })
  const taken = []
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ message }) => {
      if (taken.length < count) taken.push(message)
    }
  })
  if (seek !== undefined) consumer.seek({ topic, partition: 0, offset: String(seek) })
  await until(() => taken.length >= count, `${count} messages`)
  if (commit) await consumer.commitOffsets([{ topic, partition: 0, offset: String(Number(taken.at(-1).offset) + 1) }])
  await consumer.disconnect()
  return taken
}

const values = messages => messages.map(message => message.value.toString())

async function transactional (transactionalId) {
  const producer = kafka.producer({ transactionalId, idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  return producer
}

async function begin (producer, topic, values) {
  const transaction = await producer.transaction()
  await transaction.send({ topic, messages: values.map(value => ({ value, partition: 0 })) })
  return transaction
}

async function acks (level) {
  const topic = await makeTopic('acks')
  await produce(topic, VALUES, { acks: level })
  equal(values(await take(topic, VALUES.length)), VALUES)
}

async function codec (name, compression) {
  const topic = await makeTopic(name)
  await produce(topic, VALUES, { compression })
  equal(values(await take(topic, VALUES.length)), VALUES)
  return `topic=${topic}`
}

async function member (topic, groupId) {
  const consumer = kafka.consumer({ groupId, heartbeatInterval: 500, sessionTimeout: 10000, maxWaitTimeInMs: 200 })
  const owned = { count: -1 }
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    owned.count = (payload.memberAssignment[topic] ?? []).length
  })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({ eachMessage: async () => {} })
  return { consumer, owned }
}

async function configOf (type, name, key) {
  const { resources } = await admin.describeConfigs({ resources: [{ type, name, configNames: [key] }] })
  return resources[0].configEntries.find(entry => entry.configName === key).configValue
}

async function groupWithMember () {
  const topic = await makeTopic('groups')
  const group = unique('group')
  const joined = await member(topic, group)
  await until(() => joined.owned.count === 1, 'the member owns its partition')
  return { topic, group, leave: () => joined.consumer.disconnect() }
}

notApplicable('the client has no such call', 'log-dirs', 'quorum', 'api-versions', 'perf')

await run({
  metadata: async () => {
    const cluster = await admin.describeCluster()
    equal(cluster.brokers.length >= 1 && cluster.clusterId.length > 0, true)
  },
  'acks-0': () => acks(0),
  'acks-1': () => acks(1),
  'acks-all': () => acks(-1),
  gzip: () => codec('gzip', CompressionTypes.GZIP),
  snappy: () => codec('snappy', CompressionTypes.Snappy),
  lz4: () => codec('lz4', CompressionTypes.LZ4),
  zstd: () => codec('zstd', CompressionTypes.ZSTD),
  'keys-headers': async () => {
    const topic = await makeTopic('headers')
    const headers = { first: ['1', 'again'], empty: '' }
    await produce(topic, [{ key: 'ключ', value: 'value', headers }, { key: 'tombstone', value: null }])
    const [first, second] = await take(topic, 2)
    equal([first.key.toString(), first.value.toString()], ['ключ', 'value'])
    equal(first.headers, { first: [Buffer.from('1'), Buffer.from('again')], empty: Buffer.from('') })
    equal([second.key.toString(), second.value], ['tombstone', null])
  },
  'from-beginning': async () => {
    const topic = await makeTopic('beginning')
    equal(await produce(topic, VALUES), 0)
    const taken = await take(topic, VALUES.length)
    equal(values(taken), VALUES)
    equal(taken.map(message => Number(message.offset)), VALUES.map((_, i) => i))
  },
  'by-time': async () => {
    const topic = await makeTopic('time')
    const start = Date.now() - 60000
    await produce(topic, Array.from({ length: 20 }, (_, i) => ({ value: String(i), timestamp: String(start + i * 1000) })))
    const [found] = await admin.fetchTopicOffsetsByTimestamp(topic, start + 7500)
    equal(Number(found.offset), 8)
    equal(values(await take(topic, 12, { seek: found.offset })), Array.from({ length: 12 }, (_, i) => String(i + 8)))
  },
  'commit-resume': async () => {
    const topic = await makeTopic('commit')
    const groupId = unique('group')
    await produce(topic, VALUES)
    await take(topic, 20, { groupId, commit: true })
    equal(values(await take(topic, 30, { groupId })), VALUES.slice(20))
  },
  rebalance: async () => {
    const topic = await makeTopic('rebalance', 4)
    const group = unique('group')
    const first = await member(topic, group)
    await until(() => first.owned.count === 4, 'the first member owns all partitions')
    const second = await member(topic, group)
    await until(() => first.owned.count === 2 && second.owned.count === 2, 'two partitions each')
    await first.consumer.disconnect()
    await until(() => second.owned.count === 4, 'the member that stays owns all partitions')
    await second.consumer.disconnect()
  },
  'create-topic': async () => {
    const topic = await makeTopic('create', 3)
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
    equal(topics[0].partitions.length, 3)
    equal(await admin.createTopics({ topics: [{ topic, numPartitions: 1 }] }), false)
  },
  'describe-topic': async () => {
    const topic = await makeTopic('describe', 2)
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
    equal(topics[0].partitions.map(partition => partition.partitionId).sort(), [0, 1])
    for (const partition of topics[0].partitions) equal(partition.isr, [partition.leader])
  },
  'delete-topic': async () => {
    const topic = await makeTopic('delete')
    await admin.deleteTopics({ topics: [topic] })
    await until(async () => !(await admin.listTopics()).includes(topic), 'the topic is gone')
  },
  'describe-config': async () => {
    const topic = await makeTopic('config')
    equal(await configOf(ConfigResourceTypes.TOPIC, topic, 'cleanup.policy'), 'delete')
    const { brokers } = await admin.describeCluster()
    equal(Number(await configOf(ConfigResourceTypes.BROKER, String(brokers[0].nodeId), 'log.segment.bytes')) > 0, true)
  },
  'alter-config': async () => {
    const topic = await makeTopic('alter')
    const configEntries = [{ name: 'retention.ms', value: '123456' }]
    await admin.alterConfigs({ validateOnly: false, resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries }] })
    await until(async () => (await configOf(ConfigResourceTypes.TOPIC, topic, 'retention.ms')) === '123456', 'retention.ms is set')
  },
  'create-partitions': async () => {
    const topic = await makeTopic('partitions')
    await admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] })
    await until(async () => (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length === 3, 'three partitions')
  },
  'list-groups': async () => {
    const { group, leave } = await groupWithMember()
    const { groups } = await admin.listGroups()
    equal(groups.some(entry => entry.groupId === group), true)
    await leave()
  },
  'describe-group': async () => {
    const { group, leave } = await groupWithMember()
    const { groups } = await admin.describeGroups([group])
    equal([groups[0].state, groups[0].members.length], ['Stable', 1])
    await leave()
  },
  'delete-group': async () => {
    const { group, leave } = await groupWithMember()
    const refused = await admin.deleteGroups([group]).then(() => null, error => error.groups[0].error.type)
    equal(refused, 'NON_EMPTY_GROUP')
    await leave()
    await admin.deleteGroups([group])
    equal((await admin.listGroups()).groups.some(entry => entry.groupId === group), false)
  },
  idempotent: async () => {
    const topic = await makeTopic('idempotent')
    await produce(topic, VALUES, { idempotent: true, acks: -1 })
    equal(values(await take(topic, VALUES.length)), VALUES)
  },
  'transaction-commit': async () => {
    const topic = await makeTopic('commit')
    const producer = await transactional(unique('transaction'))
    for (const part of [VALUES.slice(0, 5), VALUES.slice(5, 10)]) {
      await (await begin(producer, topic, part)).commit()
    }
    equal(values(await take(topic, 10, { readUncommitted: false })), VALUES.slice(0, 10))
    await producer.disconnect()
  },
  'transaction-abort': async () => {
    const topic = await makeTopic('abort')
    const producer = await transactional(unique('transaction'))
    await (await begin(producer, topic, VALUES.slice(0, 5))).abort()
    await (await begin(producer, topic, VALUES.slice(5, 10))).commit()
    equal(values(await take(topic, 5, { readUncommitted: false })), VALUES.slice(5, 10))
    equal(values(await take(topic, 10)), VALUES.slice(0, 10))
    await producer.disconnect()
  },
  'transaction-offsets': async () => {
    const topic = await makeTopic('offsets')
    const consumerGroupId = unique('group')
    const producer = await transactional(unique('transaction'))
    const topics = [{ topic, partitions: [{ partition: 0, offset: '5' }] }]
    for (const [end, expected] of [['abort', '-1'], ['commit', '5']]) {
      const transaction = await begin(producer, topic, ['made of five'])
      await transaction.sendOffsets({ consumerGroupId, topics })
      await transaction[end]()
      await until(async () => {
        const [{ partitions }] = await admin.fetchOffsets({ groupId: consumerGroupId, topics: [topic] })
        return partitions[0].offset === expected
      }, `${expected} is committed`)
    }
    await producer.disconnect()
  },
  'transaction-fencing': async () => {
    const topic = await makeTopic('fencing')
    const transactionalId = unique('transaction')
    const zombie = await transactional(transactionalId)
    const late = await begin(zombie, topic, VALUES.slice(0, 5))
    const successor = await transactional(transactionalId)
    const next = await begin(successor, topic, VALUES.slice(5, 10))
    equal(await late.commit().then(() => 'committed', () => 'fenced'), 'fenced')
    await next.commit()
    equal(values(await take(topic, 5, { readUncommitted: false })), VALUES.slice(5, 10))
    await Promise.all([zombie.disconnect(), successor.disconnect()])
  },
  'delete-records': async () => {
    const topic = await makeTopic('records')
    await produce(topic, VALUES)
    await admin.fetchTopicOffsets(topic) // KafkaJS deletes only from topics whose leaders it has asked for.
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '10' }] })
    const [{ low, high }] = await admin.fetchTopicOffsets(topic)
    equal([low, high], ['10', '50'])
    equal(values(await take(topic, 40)), VALUES.slice(10))
  },
  'list-offsets': async () => {
    const topic = await makeTopic('offsets')
    await produce(topic, VALUES)
    const [{ low, high }] = await admin.fetchTopicOffsets(topic)
    equal([low, high], ['0', '50'])
  }
})
