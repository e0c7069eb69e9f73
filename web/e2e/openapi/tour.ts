// Every operation of both documents, called through the clients that a generator made
// of them. This is compiled together with them, so it also says what their types allow.

import assert from 'node:assert/strict'
import { ok, type ApiResponse, type SuccessCodes } from '@oazapfts/runtime'
import * as backend from './generated/backend.js'
import * as pages from './generated/pages.js'

interface Server {
  url: string
  fetch: typeof fetch
}

/** Says where the servers are. */
export function begin(push: Server, open: Server) {
  Object.assign(backend.defaults, { baseUrl: push.url, fetch: push.fetch })
  Object.assign(pages.defaults, { baseUrl: open.url, fetch: open.fetch })
}

type Refusal<T> = Exclude<T, { status: SuccessCodes }>

/** The status and the problem document of a call that is refused. */
async function refusal<T extends ApiResponse>(call: Promise<T>): Promise<Refusal<T>> {
  const answer = await call
  assert.ok(answer.status >= 400, `it is answered with ${answer.status}`)
  return answer as Refusal<T>
}

const companyID = 'acme'

/** Pushes a message to a user and returns its id. */
async function push(uid: string, title: string) {
  const receipt = await ok(backend.pushMessage({ receivers: [uid], companyID, title }))
  return receipt.messages[0].messageID
}

async function titles(uid: string) {
  const { items } = await ok(backend.listMessages(uid, companyID))
  return items.map((message) => message.title)
}

/** Lets the client of pages ask as a user. */
async function login(uid: string) {
  const { token } = await ok(backend.signToken({ uid, companyID, ttl: 3600, topics: ['news*'] }))
  pages.defaults.headers = { Authorization: `Bearer ${token}` }
}

const inAnHour = () => new Date(Date.now() + 3_600_000).toISOString()

export const backends = {
  async 'a message arrives in the inbox of each receiver'() {
    const receipt = await ok(backend.pushMessage({
      receivers: ['ann', 7], companyID, title: 'Hello', content: '<b>raw</b>', typeID: 2, data: { order: { id: 1 } }, extra: { colour: 'red' },
    }))
    assert.equal(receipt.stored, true)
    assert.deepEqual(receipt.messages.map((m) => m.receiverID), ['ann', '7'])
    const { items } = await ok(backend.listMessages('ann', companyID, { typeId: 2, unread: true, limit: 5 }))
    assert.equal(items.length, 1)
    const [message] = items
    assert.equal(message.content, '<b>raw</b>')
    assert.deepEqual(message.data, { order: { id: 1 } })
    assert.deepEqual(message.extra, { colour: 'red' })
    assert.deepEqual(await ok(backend.getMessage(receipt.messages[0].messageID)), message)
    assert.deepEqual(await titles('7'), ['Hello'])
    assert.deepEqual((await ok(backend.listMessages('ann', companyID, { typeId: 3 }))).items, [])
  },

  async 'the inbox comes in pages'() {
    for (const title of ['one', 'two', 'three']) await push('paul', title)
    const first = await ok(backend.listMessages('paul', companyID, { limit: 2 }))
    const second = await ok(backend.listMessages('paul', companyID, { limit: 2, cursor: first.next }))
    assert.deepEqual([...first.items, ...second.items].map((m) => m.title), ['three', 'two', 'one'])
    assert.equal(second.next, undefined)
  },

  async 'counts follow what is marked'() {
    const ids = [await push('bea', 'one'), await push('bea', 'two')]
    const counts = await ok(backend.getCounts('bea', companyID))
    assert.deepEqual([counts.unread, counts.unseen, counts.byType], [2, 2, { 1: 2 }])
    assert.equal((await ok(backend.markSeen('bea', { companyID, last: ids[1] }))).unseen, 0)
    assert.equal((await ok(backend.markRead('bea', { companyID, ids: [ids[0]] }))).unread, 1)
    assert.equal((await ok(backend.markUnread('bea', { companyID, ids: [ids[0]] }))).unread, 2)
    assert.equal((await ok(backend.markAllRead('bea', { companyID, typeID: 1 }))).unread, 0)
    await ok(backend.archive('bea', { companyID, ids: [ids[0]] }))
    assert.deepEqual((await ok(backend.listMessages('bea', companyID, { archived: true }))).items.map((m) => m.title), ['one'])
    await ok(backend.unarchive('bea', { companyID, ids: [ids[0]] }))
    await ok(backend.archiveAll('bea', { companyID }))
    assert.deepEqual(await titles('bea'), [])
  },

  async 'a message is changed, explained and withdrawn'() {
    const id = await push('cid', 'old')
    const changed = await ok(backend.editMessage(id, { title: 'new', content: null, senderID: null, expiresAt: inAnHour() }))
    assert.equal(changed.title, 'new')
    assert.deepEqual(await titles('cid'), ['new'])
    const story = await ok(backend.explainMessage(id, { uid: 'cid' }))
    assert.ok(story.steps.some((step) => step.what === 'edited'))
    assert.equal(story.message?.title, 'new')
    await ok(backend.withdrawMessage(id))
    assert.deepEqual(await titles('cid'), [])
    const { status, data: problem } = await refusal(backend.getMessage(id))
    assert.equal(status, 404)
    assert.equal(problem.code, 'not_found')
  },

  async 'a scheduled message waits, and is cancelled'() {
    const answer = await backend.pushMessage({ receivers: ['dan'], title: 'later', deliverAt: inAnHour() })
    assert.equal(answer.status, 202)
    const { scheduledID } = await ok(Promise.resolve(answer))
    assert.ok(scheduledID)
    const waiting = await ok(backend.getScheduled(scheduledID))
    assert.deepEqual(waiting.receivers, ['dan'])
    await ok(backend.withdrawMessage(scheduledID))
    assert.equal((await refusal(backend.getScheduled(scheduledID))).status, 404)
  },

  async 'a call that is repeated with its key is done once'() {
    const draft = { receivers: ['eve'], companyID, title: 'once' }
    const again = { idempotencyKey: 'tour-1' }
    const first = await ok(backend.pushMessage(draft, again))
    assert.deepEqual(await ok(backend.pushMessage(draft, again)), first)
    assert.deepEqual(await titles('eve'), ['once'])
    const { status, data: problem } = await refusal(backend.pushMessage({ ...draft, title: 'other' }, again))
    assert.equal(status, 409)
    assert.equal(problem.code, 'conflict')
  },

  async 'a refusal names every field that is wrong'() {
    const answer = await refusal(backend.pushMessage({ receivers: ['fay'], title: 'x'.repeat(1025), typeID: -1 }))
    assert.equal(answer.status, 422)
    const problem: backend.Problem = answer.data
    assert.equal(problem.status, 422)
    assert.equal(problem.code, 'invalid')
    assert.deepEqual(problem.errors?.map((e) => e.location).sort(), ['body.title', 'body.typeID'])
  },

  async 'what the document does not have does not compile, and is refused'() {
    // @ts-expect-error
    const misspelt = await refusal(backend.pushMessage({ receivers: ['fay'], titel: 'x' }))
    assert.equal(misspelt.status, 422)
    // @ts-expect-error
    const incomplete = await refusal(backend.pushActivity({ title: 'of no company' }))
    assert.equal(incomplete.data.errors?.[0].location, 'body.companyID')
  },

  async 'items of a batch are answered one by one'() {
    const { items } = await ok(backend.pushMessages({
      items: [{ receivers: ['gus'], companyID, title: 'good' }, { receivers: ['gus'] }, { audience: 'company', companyID: 'gus-co', title: 'notice' }],
    }, { idempotencyKey: 'tour-2' }))
    assert.deepEqual(items.map((item) => item.status), [201, 422, 201])
    assert.equal(items[0].receipt?.messages[0].receiverID, 'gus')
    assert.equal(items[1].problem?.errors?.[0].location, 'body.items[1].title')
    const recorded = await ok(backend.pushActivities({ items: [{ companyID: 'batched', title: 'one' }, { companyID: 'batched', title: 'two' }] }))
    assert.deepEqual(recorded.items.map((item) => item.receipt?.stored), [true, true])
  },

  async 'an activity notifies, and is found in the feed'() {
    const before = new Date(Date.now() - 60_000).toISOString()
    const receipt = await ok(backend.pushActivity({
      companyID: 'feed', operatorID: 'hal', operator: 'Hal', objectType: 4, objectID: 12, title: 'closed it', url: '/t/12',
      changes: [{ field: 'state', before: 'open', after: { name: 'closed' } }], notify: ['ida'], category: 'tasks',
    }))
    assert.equal(receipt.notified?.messages[0].receiverID, 'ida')
    const [message] = (await ok(backend.listMessages('ida', 'feed', { category: 'tasks' }))).items
    assert.equal(message.typeID, 3)
    await ok(backend.pushActivity({ companyID: 'feed', operatorID: 'ida', title: 'looked' }))

    const feed = async (filter: Parameters<typeof backend.listActivities>[1]) =>
      (await ok(backend.listActivities('feed', filter))).items.map((activity) => activity.title)
    assert.deepEqual(await feed({}), ['looked', 'closed it'])
    assert.deepEqual(await feed({ operatorId: 'ida' }), ['looked'])
    assert.deepEqual(await feed({ objectType: 4, objectId: '12', $from: before, until: inAnHour() }), ['closed it'])
    assert.deepEqual(await feed({ until: before }), [])
    const [activity] = (await ok(backend.listActivities('feed', { operatorId: 'hal' }))).items
    assert.deepEqual(activity.changes, [{ field: 'state', before: 'open', after: { name: 'closed' } }])
  },

  async 'the feed makes one item of what belongs together'() {
    for (const title of ['renamed', 'moved', 'closed']) {
      await ok(backend.pushActivity({ companyID: 'grouped', operatorID: 'jim', objectType: 1, objectID: 'p', title }))
    }
    const { items } = await ok(backend.listActivities('grouped', { group: true }))
    assert.equal(items.length, 1)
    assert.equal(items[0].title, 'closed')
    assert.equal(items[0].group?.count, 3)
    assert.equal(items[0].group?.activityIDs[0], items[0].activityID)
  },

  async 'what a user has turned off does not arrive'() {
    const set = await ok(backend.setPreferences('kim', { preferences: [{ category: 'ads', inApp: false }] }))
    assert.deepEqual(await ok(backend.getPreferences('kim')), set)
    const receipt = await ok(backend.pushMessage({ receivers: ['kim'], companyID, title: 'buy', category: 'ads' }))
    assert.deepEqual(receipt.off, ['kim'])
    assert.deepEqual(await titles('kim'), [])
  },

  async 'pages are counted, told and disconnected'() {
    await ok(backend.addMembers(companyID, { users: ['lea', 8] }))
    assert.deepEqual(await ok(backend.getOnline(companyID)), { users: 0, pages: 0 })
    assert.deepEqual(await ok(backend.getPages('lea')), { pages: [] })
    const told = await ok(backend.publishEvent({ event: 'refresh', rooms: ['company:acme'], except: ['uid:lea'], data: [1] }))
    assert.equal(told.pages, 0)
    assert.equal((await ok(backend.disconnectUser('lea'))).pages, 0)
    assert.equal((await ok(backend.disconnectUser('lea', { companyID }))).pages, 0)
  },
}

export const users = {
  async 'a page asks with the token of its user'() {
    await login('mia')
    assert.deepEqual(await ok(pages.me()), { uid: 'mia', companyID })
    const ids = [await push('mia', 'one'), await push('mia', 'two')]
    await push('noa', 'not mine')
    const mine = await ok(pages.myMessages({ unread: true }))
    assert.deepEqual(mine.items.map((m) => m.title), ['two', 'one'])
    assert.equal((await ok(pages.myCounts())).unread, 2)
    assert.equal((await ok(pages.seeMine({ last: ids[1] }))).unseen, 0)
    assert.equal((await ok(pages.readMine({ ids }))).unread, 0)
    assert.equal((await ok(pages.unreadMine({ ids: [ids[0]] }))).unread, 1)
    assert.equal((await ok(pages.readAllMine())).unread, 0)
    await ok(pages.archiveMine({ ids }))
    assert.deepEqual((await ok(pages.myMessages())).items, [])
    await ok(pages.unarchiveMine({ ids }))
    await ok(pages.archiveAllMine({ typeID: 1 }))
    assert.equal((await ok(pages.myMessages({ archived: true }))).items.length, 2)
  },

  async 'a page sees its company and sets its preferences'() {
    await login('mia')
    await ok(backend.pushActivity({ companyID, operatorID: 'mia', title: 'arrived' }))
    const feed = await ok(pages.myActivities({ operatorId: 'mia' }))
    assert.deepEqual(feed.items.map((a) => a.title), ['arrived'])
    assert.equal((await ok(pages.myOnline())).users, 0)
    const set = await ok(pages.setMyPreferences({ preferences: [{ typeID: 2, muteUntil: inAnHour() }] }))
    assert.deepEqual(await ok(pages.myPreferences()), set)
  },

  async 'a page without a token, or with one that was revoked, is refused'() {
    await login('mia')
    await ok(backend.revokeTokens('mia'))
    const revoked = await refusal(pages.me())
    assert.equal(revoked.data.code, 'unauthorized')
    pages.defaults.headers = {}
    const { status, data: problem } = await refusal(pages.me())
    assert.equal(status, 401)
    assert.match(problem.detail, /token/)
  },
}
