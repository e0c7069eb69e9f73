// Pages that come back after the server was killed: the unmodified client of 4.6 and
// later by connection state recovery, older ones by the cursor of their login. Nothing
// is lost, nothing comes twice, and the order is kept.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { after, before, describe, test } from 'node:test'
import { Belfry } from './harness/belfry.mjs'
import { patience, until } from './harness/until.mjs'

const require = createRequire(import.meta.url)

/** @typedef {(url: string, options: object) => Client} Connect */

/** @type {Connect[]} Each generation's own. */
const [io2, io3, io4] = [require('socket.io-client-2'), require('socket.io-client-3'), require('socket.io-client-4')]

/** @type {Belfry} */
let server

before(async () => {
  server = await Belfry.start('serve', '--dev')
})

after(async () => {
  await server?.stop()
})

/**
 * What the tests use of a client of any generation.
 *
 * @typedef {object} Client
 * @property {string} id
 * @property {boolean} connected
 * @property {boolean} [recovered]
 * @property {object} [auth]
 * @property {(event: string, listener: (...args: any[]) => void) => void} on
 * @property {(event: string, ...args: any[]) => void} emit
 * @property {() => void} connect
 * @property {() => void} close
 * @property {any} io
 */

/**
 * Collects the titles of what a page is told.
 *
 * @param {Client} page
 */
function listen(page) {
  /** @type {string[]} */
  const told = []
  page.on('new_msg', (message) => told.push(message.title))
  page.on('update_dynamic', (activity) => told.push(activity.title))
  return told
}

/**
 * Pushes to a user who has no page.
 *
 * @param {number} uid
 * @param {string[]} titles every second one as an activity
 */
async function pushAll(uid, ...titles) {
  for (const [i, title] of titles.entries()) {
    const answer = i % 2 === 0
      ? await server.push({ action: 'message', receiverID: uid, title })
      : await server.push({ action: 'dynamic', companyID: uid, title })
    assert.match(answer, /^(ok|offline)$/)
  }
}

/**
 * Ends the client's connection from below, as a network does.
 *
 * @param {Client} page
 */
function cut(page) {
  page.io.engine.close()
}

describe('the unmodified client of 4.8 recovers its state', () => {
  for (const transports of [['websocket'], ['polling']]) {
    test(`by ${transports} after a cut, and after the server was killed`, async (t) => {
      const uid = transports[0] === 'websocket' ? 1 : 2
      /** @type {Client} */
      const page = io4(server.publicURL, {
        transports, auth: { uid, companyID: uid }, reconnectionDelay: 300, reconnectionDelayMax: 300, forceNew: true,
      })
      t.after(() => page.close())
      const told = listen(page)
      await until(() => assert.ok(page.connected))
      const id = page.id
      await pushAll(uid, 'one')
      await until(() => assert.deepEqual(told, ['one']))
      assert.equal(page.recovered, false)

      cut(page)
      await pushAll(uid, 'two', 'three')
      await until(() => assert.deepEqual(told, ['one', 'two', 'three']))
      assert.equal(page.recovered, true)
      assert.equal(page.id, id)

      page.io.reconnection(false)
      await server.end('SIGKILL')
      await until(() => assert.ok(!page.connected))
      await server.run()
      await pushAll(uid, 'four', 'five', 'six')
      page.io.reconnection(true)
      page.connect()
      await until(() => assert.deepEqual(told, ['one', 'two', 'three', 'four', 'five', 'six']))
      assert.equal(page.recovered, true)
      assert.equal(page.id, id)

      await pushAll(uid, 'live')
      await until(() => assert.deepEqual(told.slice(6), ['live']))
    })
  }

  test('not as somebody else, nor beyond the bound', async (t) => {
    /** @type {Client} */
    const page = io4(server.publicURL, {
      auth: { uid: 3, companyID: 3 }, forceNew: true, reconnection: false, timeout: patience,
    })
    t.after(() => page.close())
    const told = listen(page)
    await until(() => assert.ok(page.connected))
    await pushAll(3, 'one')
    await until(() => assert.deepEqual(told, ['one']))
    cut(page)
    await until(() => assert.ok(!page.connected))
    page.auth = { uid: 4, companyID: 4 }
    await pushAll(3, 'secret')
    page.connect()
    await until(() => assert.ok(page.connected))
    assert.equal(page.recovered, false)
    await pushAll(4, 'mine')
    await until(() => assert.deepEqual(told, ['one', 'mine']))

    cut(page)
    await until(() => assert.ok(!page.connected))
    for (let i = 0; i < 501; i++) await pushAll(4, 'many')
    page.connect()
    await until(() => assert.equal(told.length, 2 + 100))
    assert.equal(page.recovered, false)
  })
})

describe('an older client catches up by the cursor of its login', () => {
  for (const [name, connect] of /** @type {[string, Connect][]} */ ([['2.5.0', io2], ['3.1.3', io3]])) {
    test(`of ${name}, after the server was killed`, async (t) => {
      const uid = name === '2.5.0' ? 5 : 6
      /** @type {Client} */
      const page = connect(server.publicURL, { forceNew: true, reconnectionDelay: 100, reconnectionDelayMax: 100 })
      t.after(() => page.close())
      const told = listen(page)
      let cursor = ''
      /** @type {any[]} */
      const answers = []
      page.on('connect', () => {
        page.emit('login', { uid, companyID: uid, ...(cursor && { cursor }) }, (/** @type {any} */ answer) => {
          answers.push(answer)
          if (!cursor) cursor = answer.cursor
        })
      })
      for (const event of ['new_msg', 'update_dynamic']) page.on(event, (...args) => (cursor = args.at(-1)))
      await until(() => assert.equal(answers.length, 1))
      await pushAll(uid, 'one', 'two')
      await until(() => assert.deepEqual(told, ['one', 'two']))

      page.io.reconnection(false)
      await server.end('SIGKILL')
      await until(() => assert.ok(!page.connected))
      await server.run()
      await pushAll(uid, 'three', 'four', 'five')
      page.io.reconnection(true)
      page.connect()
      await until(() => assert.equal(answers.length, 2))
      await until(() => assert.deepEqual(told, ['one', 'two', 'three', 'four', 'five']))
      assert.equal(answers[1].reset, undefined)
      assert.equal(answers[1].counts.unread, 3)
    })
  }
})
