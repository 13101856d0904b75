// KafkaJS, a client in JavaScript alone. The modes are those of lines.py.
'use strict'

const assert = require('node:assert/strict')
const readline = require('node:readline')
const { CompressionCodecs, CompressionTypes, ConfigResourceTypes, Kafka, logLevel } = require('kafkajs')

CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')

const [brokers, mode, ...args] = process.argv.slice(2)
const patience = 30_000
const kafka = new Kafka({ clientId: 'compat-kafkajs', brokers: brokers.split(','), logLevel: logLevel.NOTHING, retry: { initialRetryTime: 50 } })
const codecs = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy }

const decode = (b) => (b === null ? null : Buffer.from(b, 'base64'))
const encode = (b) => (b === null || b === undefined ? null : Buffer.from(b).toString('base64'))
const say = (what) => process.stdout.write(JSON.stringify(what) + '\n')

async function withClient(client, f) {
  await client.connect()
  try {
    return await f(client)
  } finally {
    await client.disconnect()
  }
}

const produced = (topic, values, more = {}) =>
  withClient(kafka.producer({ allowAutoTopicCreation: false }), (p) => p.send({ topic, acks: -1, messages: values.map((value) => ({ value })), ...more }))

async function produce(topic, codec) {
  const messages = []
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const r = JSON.parse(line)
    const headers = Object.fromEntries((r.headers || []).map(([k, v]) => [k, decode(v)]))
    messages.push({ key: decode(r.key), value: decode(r.value), headers })
  }
  await produced(topic, [], { messages, compression: codecs[codec] })
}

// member runs a consumer of a group until stop is called.
async function member(groupId, topic, eachMessage, more = {}) {
  const c = kafka.consumer({ groupId, sessionTimeout: 10_000, heartbeatInterval: 500, maxWaitTimeInMs: 200, ...more })
  await c.connect()
  await c.subscribe({ topics: [topic], fromBeginning: true })
  await c.run({ autoCommitThreshold: 1, eachMessage })
  return c
}

async function consume(topic, group) {
  const c = await member(group, topic, async ({ topic, partition, message }) => {
    const headers = Object.entries(message.headers || {}).map(([k, v]) => [k, encode(v)])
    say({ topic, partition, offset: Number(message.offset), key: encode(message.key), value: encode(message.value), headers })
  })
  process.stdin.resume()
  await new Promise((resolve) => process.stdin.on('end', resolve))
  await c.disconnect()
}

// read gives the first n values of a topic.
async function read(groupId, topic, n, more) {
  const values = []
  let all
  const enough = new Promise((resolve) => (all = resolve))
  const c = await member(groupId, topic, async ({ message }) => {
    values.push(message.value.toString())
    if (values.length === n) all()
  }, more)
  const timer = setTimeout(all, patience)
  await enough
  clearTimeout(timer)
  await c.disconnect()
  return values
}

const made = (topic, numPartitions = 1, configEntries = []) =>
  withClient(kafka.admin(), (a) => a.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions, configEntries }] }))

const checks = {
  async idempotence(name) {
    await made(name)
    await withClient(kafka.producer({ idempotent: true, maxInFlightRequests: 1 }), async (p) => {
      for (let i = 0; i < 5; i++) {
        const [at] = await p.send({ topic: name, messages: [{ value: `${i}` }] })
        assert.equal(at.baseOffset, `${i}`)
      }
    })
  },

  async transactions(name) {
    await made(name)
    await withClient(kafka.producer({ transactionalId: name, idempotent: true, maxInFlightRequests: 1 }), async (p) => {
      for (const [value, end] of [['first', 'commit'], ['aborted', 'abort'], ['second', 'commit']]) {
        const txn = await p.transaction()
        await txn.send({ topic: name, messages: [{ value }] })
        await txn[end]()
      }
      assert.deepEqual(await read(name, name, 2), ['first', 'second'])
      const txn = await p.transaction()
      await txn.send({ topic: name, messages: [{ value: 'third' }] })
      await txn.sendOffsets({ consumerGroupId: name, topics: [{ topic: name, partitions: [{ partition: 0, offset: '6' }] }] })
      await txn.commit()
    })
    const [{ partitions: [at] }] = await withClient(kafka.admin(), (a) => a.fetchOffsets({ groupId: name, topics: [name] }))
    assert.equal(at.offset, '6')
  },

  async topics_and_settings(name) {
    await made(name, 2, [{ name: 'retention.ms', value: '1000000' }])
    await withClient(kafka.admin(), async (a) => {
      const resource = { type: ConfigResourceTypes.TOPIC, name }
      const setting = async (key) => {
        const { resources: [r] } = await a.describeConfigs({ includeSynonyms: true, resources: [{ ...resource, configNames: [key] }] })
        return r.configEntries[0].configValue
      }
      assert.equal(await setting('retention.ms'), '1000000')
      await a.alterConfigs({ validateOnly: false, resources: [{ ...resource, configEntries: [{ name: 'max.message.bytes', value: '2000' }] }] })
      assert.equal(await setting('max.message.bytes'), '2000')
      assert.equal(await a.createTopics({ topics: [{ topic: name }] }), false)
      await a.createPartitions({ topicPartitions: [{ topic: name, count: 5 }] })
      const { topics: [topic] } = await a.fetchTopicMetadata({ topics: [name] })
      assert.equal(topic.partitions.length, 5)
      assert((await a.listTopics()).includes(name))
      assert((await a.describeCluster()).brokers.length > 0)
      await assert.rejects(produced(name, ['x'.repeat(5000)]), { type: 'MESSAGE_TOO_LARGE' })
      await a.deleteTopics({ topics: [name] })
    })
  },

  async offsets(name) {
    await made(name)
    for (let i = 0; i < 5; i++) {
      await produced(name, [], { messages: [{ value: `${i}`, timestamp: `${1_000_000 + 1000 * i}` }] })
    }
    await withClient(kafka.admin(), async (a) => {
      assert.deepEqual(await a.fetchTopicOffsets(name), [{ partition: 0, offset: '5', high: '5', low: '0' }])
      assert.deepEqual(await a.fetchTopicOffsetsByTimestamp(name, 1_002_500), [{ partition: 0, offset: '3' }])
      await a.deleteTopicRecords({ topic: name, partitions: [{ partition: 0, offset: '2' }] })
      assert.equal((await a.fetchTopicOffsets(name))[0].low, '2')
    })
    assert.deepEqual(await read(name, name, 3), ['2', '3', '4'])
  },

  async groups(name) {
    await made(name)
    await produced(name, ['a', 'b', 'c'])
    assert.deepEqual(await read(name, name, 3), ['a', 'b', 'c'])
    await withClient(kafka.admin(), async (a) => {
      assert((await a.listGroups()).groups.some((g) => g.groupId === name))
      const { groups: [g] } = await a.describeGroups([name])
      assert.equal(g.state, 'Empty')
      await a.setOffsets({ groupId: name, topic: name, partitions: [{ partition: 0, offset: '1' }] })
      assert.deepEqual(await read(name, name, 2), ['b', 'c'])
      await a.resetOffsets({ groupId: name, topic: name, earliest: true })
      assert.equal((await a.fetchOffsets({ groupId: name, topics: [name], resolveOffsets: true }))[0].partitions[0].offset, '0')
      assert.deepEqual(await a.deleteGroups([name]), [{ groupId: name, errorCode: 0 }])
    })
  },
}

async function check(prefix) {
  for (const [name, f] of Object.entries(checks)) {
    let error = null
    try {
      await f(`${prefix}-${name.replaceAll('_', '-')}`)
    } catch (e) {
      error = String(e.stack)
    }
    say({ check: name, error })
  }
}

const modes = { produce, consume, check }
modes[mode](...args).then(
  () => process.exit(0),
  (e) => {
    process.stderr.write(`${e.stack}\n`)
    process.exit(1)
  },
)
