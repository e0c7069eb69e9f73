// The page script of the article, as it stands, with every generation of the
// client and over every transport, against a real server in a real browser.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { addressOf, servePages } from './article/pages.mjs'
import { Belfry } from './harness/belfry.mjs'
import { collectErrors, newContext, startBrowser } from './harness/browser.mjs'
import { until } from './harness/until.mjs'

const polling = { name: 'by polling only', options: { transports: ['polling'] }, ends: 'polling' }
const websocket = { name: 'by WebSocket only', options: { transports: ['websocket'] }, ends: 'websocket' }
const upgrade = { name: 'with the upgrade', options: undefined, ends: 'websocket' }
const jsonp = { name: 'by JSONP polling', options: { transports: ['polling'], forceJSONP: true }, ends: 'polling' }

const matrix = [
  { client: '1.3.7', transports: [polling, websocket, upgrade, jsonp] },
  { client: '2.5.0', transports: [polling, websocket, upgrade, jsonp] },
  { client: '3.1.3', transports: [polling, websocket, upgrade] },
  { client: '4.8.4', transports: [polling, websocket, upgrade] },
]

/** @type {Belfry} */
let server
/** @type {Awaited<ReturnType<typeof servePages>>} */
let pages
/** @type {import('playwright-core').Browser} */
let browser

before(async () => {
  ;[server, pages] = await Promise.all([
    Belfry.start('serve', '--dev'),
    servePages(),
  ])
  // The script connects to port 2120 of the host that served it.
  browser = await startBrowser([
    `--host-resolver-rules=MAP app.test:80 127.0.0.1:${pages.port},MAP app.test:2120 127.0.0.1:${server.publicPort}`,
  ])
})

after(async () => {
  await browser?.close()
  pages?.close()
  await server?.stop()
})

/**
 * Opens the page and waits until it is logged in and on its last transport.
 *
 * @param {import('node:test').TestContext} t
 * @param {import('./article/pages.mjs').Visit} visit
 * @param {string} [transport]
 */
async function open(t, visit, transport) {
  const context = await newContext(browser)
  t.after(() => context.close())
  const page = await context.newPage()
  const errors = collectErrors(page)
  /** @type {string[]} */
  const requests = []
  page.on('request', (request) => requests.push(request.url()))
  // The requests of JSONP polling are scripts, for which the load event would wait.
  await page.goto('http://app.test' + addressOf(visit), { waitUntil: 'domcontentloaded' })
  await until(async () => assert.equal(await page.textContent('#online-people'), '1', 'nobody is online; the log:\n' + server.log))
  if (transport) {
    await until(async () => assert.equal(await page.evaluate('socket.io.engine.transport.name'), transport))
  }
  return { page, errors, requests }
}

/** @param {import('playwright-core').Page} page */
const counters = (page) => page.locator('.msg-handle-num').allTextContents()

let users = 100

/** A user of a company of their own, whom no other test knows. */
function nobodyElse() {
  users++
  return { uid: String(users), companyID: String(users * 10) }
}

for (const { client, transports } of matrix) {
  describe(`the article's page with socket.io-client ${client}`, () => {
    for (const { name, options, ends } of transports) {
      test(`shows messages, activities and the number of people online ${name}`, async (t) => {
        const { uid, companyID } = nobodyElse()
        const { page, errors, requests } = await open(t, { client, uid, companyID, ...(options ? { options } : {}) }, ends)

        assert.equal(await server.push({
          action: 'message', receiverID: uid, companyID, senderID: 7, sender: '吴桢灿', typeID: 3,
          title: '指派任务', content: '请检查《发布说明》第二章 & “附录” 🎉', url: '/task/view?taskID=8&tab=1', portrait: '/portraits/7.png',
        }), 'ok')
        const message = page.locator('#msg-handle > li')
        await until(async () => assert.equal(await message.count(), 1))
        assert.equal(await message.locator('h4').textContent(), '指派任务')
        assert.equal(await message.locator('p').textContent(), '请检查《发布说明》第二章 & “附录” 🎉')
        assert.equal(await message.locator('a').getAttribute('href'), '/task/view?taskID=8&tab=1')
        assert.deepEqual(await counters(page), ['1', '1'])

        assert.equal(await server.pushForm({
          action: 'dynamic', companyID, operatorID: 7, operator: '吴桢灿', portrait: '/portraits/7.png',
          title: '创建了新任务', content: '整理客户反馈', url: '/task/view?taskID=9', date: '2018-01-28 09:30:00',
        }), 'ok')
        const entry = page.locator('#dynamic-list > li')
        await until(async () => assert.equal(await entry.count(), 1))
        assert.equal(await entry.locator('.timeline-header a').textContent(), '吴桢灿')
        assert.equal(await entry.locator('.desc').textContent(), '创建了新任务')
        assert.equal(await entry.locator('.timeline-body').textContent(), '整理客户反馈')
        assert.equal(await entry.locator('.time').textContent(), '2018-01-28 09:30:00')
        assert.equal(await entry.locator('img').getAttribute('src'), '/portraits/7.png')

        assert.equal(await server.pushForm({ action: 'message', receiverID: uid, companyID, typeID: 3, title: 'second', content: 'newest first' }), 'ok')
        await until(async () => assert.deepEqual(await counters(page), ['2', '2']))
        assert.deepEqual(await page.locator('#msg-handle h4').allTextContents(), ['second', '指派任务'])

        const viaScript = requests.some((url) => /[?&]j=\d+/.test(url))
        assert.equal(viaScript, options === jsonp.options, 'JSONP is used where it is forced, and nowhere else')
        assert.deepEqual(errors, [])
      })
    }

    test('shows what waited while no page was open, in the order in which it was pushed', async (t) => {
      const { uid, companyID } = nobodyElse()
      for (const title of ['first', 'second']) {
        assert.equal(await server.push({ action: 'message', receiverID: uid, companyID, typeID: 3, title, content: 'c' }), 'offline')
      }
      const { page } = await open(t, { client, uid, companyID })
      await until(async () => assert.deepEqual(await page.locator('#msg-handle h4').allTextContents(), ['second', 'first']))
      assert.deepEqual(await counters(page), ['2', '2'])
    })

    test('shows HTML in any field as text', async (t) => {
      const { uid, companyID } = nobodyElse()
      const { page, errors } = await open(t, { client, uid, companyID })
      const html = `"><img src=x onerror="window.executed = 1">'<script>window.executed = 1</script>`
      const fields = { title: html, content: html, portrait: html, url: html, companyID, objectID: html, date: '2018-01-28 09:30:00' }
      assert.equal(await server.push({ action: 'message', receiverID: uid, typeID: 3, sender: html, senderID: 7, ...fields }), 'ok')
      assert.equal(await server.push({ action: 'dynamic', operator: html, operatorID: 7, receiver: html, ...fields }), 'ok')
      await until(async () => assert.equal(await page.locator('#dynamic-list > li').count(), 1))
      assert.equal(await page.locator('#msg-handle h4').textContent(), html)
      assert.equal(await page.locator('#msg-handle p').textContent(), html)
      assert.equal(await page.locator('#dynamic-list .timeline-header a').textContent(), html)
      assert.equal(await page.locator('#dynamic-list .timeline-body').textContent(), html)
      assert.equal(await page.locator('li img').count(), 2, 'only the pictures of the page itself')

      for (const url of ['javascript:window.executed=1', ' java\tscript:window.executed=1', 'data:text/html,x']) {
        assert.equal(await server.push({ action: 'message', receiverID: uid, typeID: 3, title: 'link', content: url, url }), 'ok')
      }
      await until(async () => assert.equal(await page.locator('#msg-handle > li').count(), 4))
      for (const link of (await page.locator('#msg-handle a').all()).slice(0, 3)) {
        assert.equal(await link.getAttribute('href'), '')
      }
      assert.equal(await page.evaluate('window.executed'), undefined)
      assert.deepEqual(errors, [])
    })
  })
}
