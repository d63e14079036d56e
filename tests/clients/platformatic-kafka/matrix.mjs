// @platformatic/kafka in the client matrix.
import { Admin, ConfigResourceTypes, Consumer, IncrementalAlterConfigOperationTypes, Producer, stringDeserializer, stringSerializer } from '@platformatic/kafka'
import { BOOTSTRAP, VALUES, equal, notApplicable, run, unique, until } from './cells.mjs'

const base = { clientId: 'matrix', bootstrapBrokers: [BOOTSTRAP] }
const serializers = { key: stringSerializer, value: stringSerializer, headerKey: stringSerializer, headerValue: stringSerializer }
const deserializers = { key: stringDeserializer, value: stringDeserializer, headerKey: stringDeserializer, headerValue: stringDeserializer }
const admin = new Admin(base)

async function makeTopic (kind, partitions = 1) {
  const topic = unique(kind)
  await admin.createTopics({ topics: [topic], partitions, replicas: 1 })
  await until(async () => (await admin.listTopics()).includes(topic), `metadata of ${topic}`)
  return topic
}

async function produce (topic, values, options = {}) {
  const producer = new Producer({ ...base, serializers, ...options })
  const messages = values.map(value => ({ topic, partition: 0, ...(typeof value === 'string' ? { value } : value) }))
  const { offsets } = await producer.send({ messages })
  await producer.close()
  return offsets?.map(({ offset }) => Number(offset))
}

function consumer (groupId = unique('group')) {
  return new Consumer({ ...base, groupId, deserializers, maxWaitTime: 200, sessionTimeout: 10000, heartbeatInterval: 500, rebalanceTimeout: 10000 })
}

/** Reads `count` messages from a stream; with `commit`, commits the last of them. */
async function take (topic, count, { groupId, commit = false, ...options } = {}) {
  const reader = consumer(groupId)
  const stream = await reader.consume({ topics: [topic], mode: 'earliest', autocommit: false, ...options })
  const taken = []
  stream.on('data', message => { if (taken.length < count) taken.push(message) })
  await until(() => taken.length >= count, `${count} messages`)
  if (commit) {
    const { offset } = taken.at(-1)
    await reader.commit({ offsets: [{ topic, partition: 0, offset: offset + 1n, leaderEpoch: -1 }] })
  }
  await stream.close()
  await reader.close(true)
  return taken
}

const values = messages => messages.map(message => message.value)

function transactional (transactionalId) {
  return new Producer({ ...base, serializers, idempotent: true, transactionalId })
}

async function begin (producer, topic, values) {
  const transaction = await producer.beginTransaction()
  await transaction.send({ messages: values.map(value => ({ topic, partition: 0, value })) })
  return transaction
}

async function acks (level) {
  const topic = await makeTopic('acks')
  await produce(topic, VALUES, { acks: level })
  equal(values(await take(topic, VALUES.length)), VALUES)
}

async function codec (compression) {
  const topic = await makeTopic(compression)
  await produce(topic, VALUES, { compression })
  equal(values(await take(topic, VALUES.length)), VALUES)
  return `topic=${topic}`
}

async function member (topic, groupId) {
  const reader = consumer(groupId)
  const stream = await reader.consume({ topics: [topic], mode: 'earliest', autocommit: false })
  stream.on('data', () => {})
  const owned = () => (reader.assignments ?? []).reduce((sum, { partitions }) => sum + partitions.length, 0)
  return { owned, leave: async () => { await stream.close(); await reader.close(true) } }
}

async function configOf (resourceType, resourceName, key) {
  const [{ configs }] = await admin.describeConfigs({ resources: [{ resourceType, resourceName, configurationKeys: [key] }] })
  return configs.find(entry => entry.name === key).value
}

async function groupWithMember () {
  const topic = await makeTopic('groups')
  const group = unique('group')
  const joined = await member(topic, group)
  await until(() => joined.owned() === 1, 'the member owns its partition')
  return { topic, group, leave: joined.leave }
}

const metadataOf = async topic => (await admin.metadata({ topics: [topic], forceUpdate: true })).topics.get(topic)
const list = async (topic, timestamp) => {
  const [{ partitions }] = await admin.listOffsets({ topics: [{ name: topic, partitions: [{ partitionIndex: 0, timestamp }] }] })
  return Number(partitions[0].offset)
}

notApplicable('the client has no such call', 'quorum', 'perf')
notApplicable('the client cannot take an id over: it asks with producer id 0 instead of none', 'transaction-fencing')

await run({
  metadata: async () => {
    const metadata = await admin.metadata({})
    equal(metadata.brokers.size >= 1 && metadata.id.length > 0, true)
  },
  'acks-0': () => acks(0),
  'acks-1': () => acks(1),
  'acks-all': () => acks(-1),
  gzip: () => codec('gzip'),
  snappy: () => codec('snappy'),
  lz4: () => codec('lz4'),
  zstd: () => codec('zstd'),
  'keys-headers': async () => {
    const topic = await makeTopic('headers')
    const headers = new Map([['first', '1'], ['empty', '']])
    await produce(topic, [{ key: 'ключ', value: 'value', headers }])
    const [message] = await take(topic, 1)
    equal([message.key, message.value, message.headers], ['ключ', 'value', headers])
  },
  'from-beginning': async () => {
    const topic = await makeTopic('beginning')
    equal(await produce(topic, VALUES), [0])
    const taken = await take(topic, VALUES.length)
    equal(values(taken), VALUES)
    equal(taken.map(message => Number(message.offset)), VALUES.map((_, i) => i))
  },
  'by-time': async () => {
    const topic = await makeTopic('time')
    const start = BigInt(Date.now() - 60000)
    await produce(topic, Array.from({ length: 20 }, (_, i) => ({ value: String(i), timestamp: start + BigInt(i * 1000) })))
    const offset = await list(topic, start + 7500n)
    equal(offset, 8)
    const offsets = [{ topic, partition: 0, offset: BigInt(offset) }]
    equal(values(await take(topic, 12, { mode: 'manual', offsets })), Array.from({ length: 12 }, (_, i) => String(i + 8)))
  },
  'commit-resume': async () => {
    const topic = await makeTopic('commit')
    const groupId = unique('group')
    await produce(topic, VALUES)
    await take(topic, 20, { groupId, commit: true })
    equal(values(await take(topic, 30, { groupId, mode: 'committed' })), VALUES.slice(20))
  },
  rebalance: async () => {
    const topic = await makeTopic('rebalance', 4)
    const group = unique('group')
    const first = await member(topic, group)
    await until(() => first.owned() === 4, 'the first member owns all partitions')
    const second = await member(topic, group)
    await until(() => first.owned() === 2 && second.owned() === 2, 'two partitions each')
    await first.leave()
    await until(() => second.owned() === 4, 'the member that stays owns all partitions')
    await second.leave()
  },
  'create-topic': async () => {
    const topic = await makeTopic('create', 3)
    equal((await metadataOf(topic)).partitionsCount, 3)
    const again = await admin.createTopics({ topics: [topic] }).then(() => 'created twice', error => JSON.stringify(error.cause ?? error.message) + error.errors?.map(e => JSON.stringify(e.errors ?? e.message)))
    equal(/already exists|TOPIC_ALREADY_EXISTS/i.test(again), true)
  },
  'describe-topic': async () => {
    const { partitions } = await metadataOf(await makeTopic('describe', 2))
    equal(partitions.length, 2)
    for (const partition of partitions) equal(partition.isr, [partition.leader])
  },
  'delete-topic': async () => {
    const topic = await makeTopic('delete')
    await admin.deleteTopics({ topics: [topic] })
    await until(async () => !(await admin.listTopics()).includes(topic), 'the topic is gone')
  },
  'describe-config': async () => {
    const topic = await makeTopic('config')
    equal(await configOf(ConfigResourceTypes.TOPIC, topic, 'cleanup.policy'), 'delete')
  },
  'alter-config': async () => {
    const topic = await makeTopic('alter')
    const configs = [{ name: 'retention.ms', value: '123456', configOperation: IncrementalAlterConfigOperationTypes.SET }]
    await admin.incrementalAlterConfigs({ resources: [{ resourceType: ConfigResourceTypes.TOPIC, resourceName: topic, configs }] })
    await until(async () => (await configOf(ConfigResourceTypes.TOPIC, topic, 'retention.ms')) === '123456', 'retention.ms is set')
  },
  'create-partitions': async () => {
    const topic = await makeTopic('partitions')
    await admin.createPartitions({ topics: [{ name: topic, count: 3, assignments: null }] })
    await until(async () => (await metadataOf(topic)).partitionsCount === 3, 'three partitions')
  },
  'list-groups': async () => {
    const { group, leave } = await groupWithMember()
    equal((await admin.listGroups()).has(group), true)
    await leave()
  },
  'describe-group': async () => {
    const { group, leave } = await groupWithMember()
    const description = (await admin.describeGroups({ groups: [group] })).get(group)
    equal([description.state.toUpperCase(), description.members.size], ['STABLE', 1])
    await leave()
  },
  'delete-group': async () => {
    const { group, leave } = await groupWithMember()
    const refused = await admin.deleteGroups({ groups: [group] }).then(() => false, () => true)
    equal(refused, true)
    await leave()
    await admin.deleteGroups({ groups: [group] })
    equal((await admin.listGroups()).has(group), false)
  },
  idempotent: async () => {
    const topic = await makeTopic('idempotent')
    await produce(topic, VALUES, { idempotent: true, acks: -1 })
    equal(values(await take(topic, VALUES.length)), VALUES)
  },
  'transaction-commit': async () => {
    const topic = await makeTopic('commit')
    const producer = transactional(unique('transaction'))
    for (const part of [VALUES.slice(0, 5), VALUES.slice(5, 10)]) {
      await (await begin(producer, topic, part)).commit()
    }
    equal(values(await take(topic, 10, { isolationLevel: 1 })), VALUES.slice(0, 10))
    await producer.close()
  },
  'transaction-abort': async () => {
    const topic = await makeTopic('abort')
    const producer = transactional(unique('transaction'))
    await (await begin(producer, topic, VALUES.slice(0, 5))).abort()
    await (await begin(producer, topic, VALUES.slice(5, 10))).commit()
    equal(values(await take(topic, 5, { isolationLevel: 1 })), VALUES.slice(5, 10))
    equal(values(await take(topic, 10, { isolationLevel: 0 })), VALUES.slice(0, 10))
    await producer.close()
  },
  'transaction-offsets': async () => {
    const [source, target, groupId] = [await makeTopic('source'), await makeTopic('target'), unique('group')]
    await produce(source, VALUES.slice(0, 5))
    const producer = transactional(unique('transaction'))
    const reader = consumer(groupId)
    const stream = await reader.consume({ topics: [source], mode: 'earliest', autocommit: false })
    const taken = []
    stream.on('data', message => taken.push(message))
    await until(() => taken.length === 5, '5 messages')
    const committed = async () => {
      const offsets = await reader.listCommittedOffsets({ topics: [{ topic: source, partitions: [0] }] })
      return Number(offsets.get(source)[0])
    }
    for (const [end, expected] of [['abort', -1], ['commit', 5]]) {
      const transaction = await begin(producer, target, ['made of five'])
      await transaction.addConsumer(reader)
      await transaction.addOffset(taken[4])
      await transaction[end]()
      await until(async () => (await committed()) === expected, `${expected} is committed`)
    }
    await stream.close()
    await reader.close(true)
    await producer.close()
  },
  'delete-records': async () => {
    const topic = await makeTopic('records')
    await produce(topic, VALUES)
    const [{ partitions }] = await admin.deleteRecords({ topics: [{ name: topic, partitions: [{ partition: 0, offset: 10n }] }] })
    equal(Number(partitions[0].lowWatermark), 10)
    equal(values(await take(topic, 40)), VALUES.slice(10))
  },
  'list-offsets': async () => {
    const topic = await makeTopic('offsets')
    await produce(topic, VALUES)
    equal([await list(topic, -2n), await list(topic, -1n)], [0, 50])
  },
  'log-dirs': async () => {
    const topic = await makeTopic('dirs')
    await produce(topic, VALUES)
    const [{ results }] = await admin.describeLogDirs({ topics: [{ name: topic, partitions: [0] }] })
    equal(Number(results[0].topics[0].partitions[0].partitionSize) > 0, true)
  },
  'api-versions': async () => {
    const apis = await admin.listApis()
    equal(apis.some(({ name }) => name === 'Produce'), true)
  }
})
