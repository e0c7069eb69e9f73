// The demo page against a real server in a real browser, as people would use it.

import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { Belfry } from './harness/belfry.mjs'
import { collectErrors, newContext, startBrowser } from './harness/browser.mjs'
import { until } from './harness/until.mjs'

/** @typedef {import('playwright-core').Page} Page */
/** @typedef {{ uid: string, name: string, companyID: string, token: string }} User */

/** @type {import('playwright-core').Browser} */
let browser
/** @type {Belfry} */
let server
/** @type {User} */
let wu
/** @type {User} */
let lin
/** @type {User} */
let amir
/** @type {User} somebody in another company */
let stranger

before(async () => {
  browser = await startBrowser()
})

after(async () => {
  await browser?.close()
})

beforeEach(() => begin())

/**
 * Starts the server.
 *
 * @param {string[]} flags
 */
async function begin(...flags) {
  server = await Belfry.start('demo', ...flags)
  const answer = await fetch(`${server.publicURL}/demo/config.json`)
  const { company, users } = /** @type {{ company: { id: string }, users: User[] }} */ (await answer.json())
  const colleagues = users.filter((user) => user.companyID === company.id)
  const others = users.filter((user) => user.companyID !== company.id)
  ;[wu, lin, amir] = /** @type {[User, User, User]} */ (colleagues)
  ;[stranger] = /** @type {[User]} */ (others)
}

afterEach(async () => {
  await server.stop()
})

/** @type {WeakMap<Page, string[]>} */
const errorsOf = new WeakMap()

/**
 * Opens the demo as a user, in a browser of their own, and waits until it is
 * connected and has its lists.
 *
 * @param {import('node:test').TestContext} t
 * @param {User} user
 * @param {{ beside?: Page, options?: import('playwright-core').BrowserContextOptions, query?: string }} [how]
 *   beside opens a second page in the browser of the first
 */
async function open(t, user, { beside, options, query = '' } = {}) {
  const context = beside ? beside.context() : await newContext(browser, { locale: 'en-GB', ...options })
  if (!beside) t.after(() => context.close())
  const page = await context.newPage()
  errorsOf.set(page, collectErrors(page))
  await page.addInitScript(keepToasts)
  await page.goto(`${server.publicURL}/demo/?uid=${user.uid}${query}`)
  await connected(page)
  return page
}

/** @param {Page} page */
async function connected(page) {
  await until(async () => {
    assert.equal(await page.locator('.presence-connected').count(), 1, 'not connected; the log:\n' + server.log)
    assert.equal(await page.locator('.list-foot[role=status]').count(), 0, 'lists are loading')
  })
}

/** @param {Page} page */
const titles = (page) => page.locator('#messages .message-title').allTextContents()

/** @param {Page} page */
const contents = (page) => page.locator('#messages .message-content').allTextContents()

/** @param {Page} page */
const activities = (page) => page.locator('#timeline .entry-content').allTextContents()

/**
 * What toasts have said since the page was loaded: they go after a while.
 *
 * @param {Page} page
 */
const toasts = (page) => /** @type {Promise<string[]>} */ (page.evaluate('toasted'))

/** Keeps what toasts say. It runs in the page. */
function keepToasts() {
  const toasted = /** @type {string[]} */ ([])
  Object.assign(window, { toasted })
  new MutationObserver((changes) => {
    for (const node of changes.flatMap((change) => [...change.addedNodes])) {
      if (!(node instanceof Element)) continue
      const said = node.matches('.toast') ? [node] : [...node.querySelectorAll('.toast')]
      toasted.push(...said.map((toast) => toast.querySelector('p')?.textContent ?? ''))
    }
  }).observe(document, { subtree: true, childList: true })
}

/** @param {Page} page */
const badge = async (page) => (await page.locator('#badge').allTextContents()).join()

/** @param {Page} page */
const online = (page) => page.locator('#presence .presence-text').textContent()

/**
 * @param {User} receiver
 * @param {string} title
 * @param {Record<string, string | number>} [fields]
 */
const message = (receiver, title, fields = {}) =>
  server.pushForm({ action: 'message', receiverID: receiver.uid, companyID: receiver.companyID, typeID: 3, sender: 'Team', title, content: 'c', ...fields })

/**
 * Fills in the form and sends it.
 *
 * @param {Page} page
 * @param {string} name
 * @param {User} assignee
 */
async function createTask(page, name, assignee) {
  await page.fill('#task-name', name)
  await page.locator(`#task-form input[name=assignee][value="${assignee.uid}"]`).check({ force: true })
  await page.locator('#task-form button[type=submit]').click()
}

describe('messages', () => {
  test('reach all pages of one user and nobody else', async (t) => {
    const lin1 = await open(t, lin)
    const lin2 = await open(t, lin)
    const wu1 = await open(t, wu)

    assert.equal(await message(lin, 'for Lin'), 'ok')
    for (const page of [lin1, lin2]) {
      await until(async () => assert.deepEqual(await titles(page), ['for Lin']))
      assert.equal(await badge(page), '1')
      assert.match(await page.title(), /^\(1\) /)
    }
    // What is pushed later comes later: once Wu has this, the other would be there.
    assert.equal(await message(wu, 'for Wu'), 'ok')
    await until(async () => assert.deepEqual(await titles(wu1), ['for Wu']))
  })

  test('wait for a user who is away, and come once', async (t) => {
    assert.equal(await message(lin, 'first'), 'offline')
    assert.equal(await message(lin, 'second'), 'offline')
    const page = await open(t, lin)
    await until(async () => assert.deepEqual(await toasts(page), ['2 messages arrived while you were away']))
    assert.deepEqual(await titles(page), ['second', 'first'])
    assert.equal(await badge(page), '2')

    await page.reload()
    await connected(page)
    assert.deepEqual(await titles(page), ['second', 'first'])
    assert.equal(await badge(page), '2')
    assert.deepEqual(await toasts(page), [], 'nothing is new after a reload')
  })

  test('are counted, marked read one by one, and all at once, on every page of the user', async (t) => {
    const one = await open(t, lin)
    const two = await open(t, lin)
    for (const [title, typeID] of /** @type {const} */ ([['a', 1], ['b', 3], ['c', 3]])) assert.equal(await message(lin, title, { typeID }), 'ok')
    for (const page of [one, two]) await until(async () => assert.equal(await badge(page), '3'))

    await one.click('#bell')
    assert.deepEqual(await one.locator('.filter').allInnerTexts().then((texts) => texts.map((text) => text.replace(/\s+/g, ' ').trim())), ['All 3', 'Tasks 2', 'System 1', 'Admin'])
    await one.locator('.message-row', { hasText: 'b' }).first().click()
    for (const page of [one, two]) {
      await until(async () => assert.equal(await badge(page), '2'))
      await until(async () => assert.equal(await page.locator('#messages .is-unread').count(), 2))
    }

    await one.click('#read-all')
    for (const page of [one, two]) {
      await until(async () => assert.equal(await badge(page), ''))
      await until(async () => assert.equal(await page.locator('#messages .is-unread').count(), 0))
    }
    assert.doesNotMatch(await two.title(), /^\(/)

    await two.reload()
    await connected(two)
    assert.equal(await badge(two), '', 'read stays read')
  })

  test('bring the counts after them, which are not always one more', async (t) => {
    const page = await open(t, lin)
    for (const title of ['a', 'in its place']) {
      const answer = await fetch(`${server.pushURL}/v1/messages`, {
        method: 'POST', headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ receivers: [lin.uid], companyID: lin.companyID, title, collapseKey: 'k' }),
      })
      assert.equal(answer.status, 201)
    }
    await until(async () => assert.equal((await titles(page))[0], 'in its place'))
    assert.equal(await badge(page), '1')
  })

  test('of text alone, as web-msg-sender pushes them, are shown too', async (t) => {
    const page = await open(t, lin)
    assert.equal(await server.push({ type: 'publish', to: lin.uid, content: '<b>你好</b>' }), 'ok')
    await until(async () => assert.deepEqual(await toasts(page), ['<b>你好</b>']))
  })
})

describe('the number of people online', () => {
  /**
   * Opens Wu's page, which keeps every number that it shows after this.
   *
   * @param {import('node:test').TestContext} t
   */
  async function watch(t) {
    const watcher = await open(t, wu)
    await until(async () => assert.equal(await online(watcher), '1 person online'))
    await watcher.evaluate(() => {
      const shown = /** @type {string[]} */ ([])
      Object.assign(window, { shown })
      const place = /** @type {Element} */ (document.querySelector('#presence .presence-text'))
      new MutationObserver(() => shown.push(place.textContent ?? '')).observe(place, { subtree: true, characterData: true, childList: true })
    })
    return watcher
  }

  test('is right after opening and closing', async (t) => {
    const watcher = await watch(t)
    const first = await open(t, lin)
    await until(async () => assert.equal(await online(watcher), '2 people online'))
    const second = await open(t, lin, { beside: first })
    assert.equal(await online(second), '2 people online', 'a second page is no second person')
    await second.close()
    await first.close()
    await until(async () => assert.equal(await online(watcher), '1 person online'))
    assert.deepEqual(await watcher.evaluate('shown'), ['2 people online', '1 person online'])
  })

  test('does not flap on a reload', async (t) => {
    await server.stop()
    await begin('--presence.grace', '10m') // a reload may take its time
    const watcher = await watch(t)
    const first = await open(t, lin)
    await until(async () => assert.equal(await online(watcher), '2 people online'))
    await first.reload()
    await connected(first)
    assert.equal(await online(first), '2 people online')
    // What happens later is told later: once Amir is counted, a flap would have shown.
    await open(t, amir)
    await until(async () => assert.equal(await online(watcher), '3 people online'))
    assert.deepEqual(await watcher.evaluate('shown'), ['2 people online', '3 people online'])
  })

  test('counts a company of its own only', async (t) => {
    const page = await open(t, wu)
    const other = await open(t, stranger)
    assert.equal(await online(page), '1 person online')
    assert.equal(await online(other), '1 person online')
  })
})

describe('a new task', () => {
  test('reaches the assignee as a message and the company as an activity', async (t) => {
    const wuPage = await open(t, wu)
    const linPage = await open(t, lin)
    const before = await activities(wuPage)

    await createTask(wuPage, '检查 “发布说明” <i>v2</i>', lin)
    await until(async () => assert.deepEqual(await toasts(wuPage), [`Delivered to ${lin.name}’s open pages`]))
    await until(async () => assert.equal(await badge(linPage), '1'))
    assert.match((await contents(linPage)).join() + (await titles(linPage)).join(), /检查 “发布说明” <i>v2<\/i>/)
    for (const page of [wuPage, linPage]) {
      await until(async () => assert.deepEqual(await activities(page), ['检查 “发布说明” <i>v2</i>', ...before]))
      assert.match(await page.locator('.day-label').first().innerText(), /^Today/)
      assert.equal(await page.locator('.entry-who').first().textContent(), wu.name)
    }
    assert.equal(await badge(wuPage), '', 'the creator gets no message')

    await linPage.click('#bell')
    await linPage.locator('.message-row').click()
    await until(async () => assert.equal(await linPage.locator('.entry:target .entry-content').count(), 1, 'the message leads to the task'))
    assert.equal(new URL(linPage.url()).searchParams.get('uid'), lin.uid, 'on the page that was open')
    await until(async () => assert.equal(await badge(linPage), ''))
  })

  test('for somebody who is away waits, and the page says so', async (t) => {
    const wuPage = await open(t, wu)
    await createTask(wuPage, 'Water the plants', lin)
    await until(async () => assert.deepEqual(await toasts(wuPage), [`${lin.name} is away. It waits in the inbox.`]))
    const linPage = await open(t, lin)
    await until(async () => assert.equal(await badge(linPage), '1'))
  })

  test('is not sent without a name', async (t) => {
    const page = await open(t, wu)
    const before = await activities(page)
    await createTask(page, '   ', lin)
    await until(async () => assert.equal(await page.locator('#task-name-error').innerText(), 'Give the task a name.'))
    assert.equal(await page.evaluate('document.activeElement.id'), 'task-name')
    await createTask(page, 'now it has one', lin)
    await until(async () => assert.deepEqual(await activities(page), ['now it has one', ...before]))
  })

  test('is not seen by another company', async (t) => {
    const wuPage = await open(t, wu)
    const other = await open(t, stranger)
    const before = await activities(other)
    await createTask(wuPage, 'our secret', lin)
    await until(async () => assert.equal((await activities(wuPage))[0], 'our secret'))
    await createTask(other, 'their own', stranger)
    await until(async () => assert.deepEqual(await activities(other), ['their own', ...before]))
    assert.ok(!(await activities(wuPage)).includes('their own'))
  })
})

describe('HTML in any field', () => {
  test('is shown as text and executes nothing', async (t) => {
    const page = await open(t, lin)
    const html = `"><img src=x onerror="window.executed = 1">'<script>window.executed = 1</script>`
    const fields = { title: html, content: html, portrait: html, url: html, objectID: html }
    assert.equal(await message(lin, html, { ...fields, sender: html, senderID: html }), 'ok')
    assert.equal(await server.push({ action: 'dynamic', companyID: lin.companyID, operator: html, operatorID: html, receiver: html, ...fields }), 'ok')
    await until(async () => assert.equal(await page.locator('#timeline .entry-who').first().textContent(), html))
    assert.deepEqual(await titles(page), [html])
    assert.deepEqual(await contents(page), [html])
    assert.equal(await page.locator('#messages .message-meta span').first().textContent(), html)
    assert.equal((await activities(page))[0], html)
    assert.equal(await page.locator('#timeline .entry-title').first().textContent(), html)
    assert.equal(await page.locator('[onerror], #app script').count(), 0)
    assert.equal(await page.evaluate('window.executed'), undefined)
  })

  test('makes no link of a dangerous address', async (t) => {
    const page = await open(t, lin)
    const dangerous = ['javascript:window.executed=1', ' java\tscript:window.executed=1', 'data:text/html,x', 'vbscript:x']
    for (const url of dangerous) {
      assert.equal(await message(lin, 'link', { url, portrait: url }), 'ok')
      assert.equal(await server.push({ action: 'dynamic', companyID: lin.companyID, operatorID: 1, operator: 'o', title: 't', content: url, url, portrait: url }), 'ok')
    }
    assert.equal(await message(lin, 'a safe one', { url: 'https://example.org/' }), 'ok')
    await until(async () => assert.equal((await titles(page)).length, dangerous.length + 1))
    assert.deepEqual(await page.locator('#messages a').evaluateAll((links) => links.map((link) => link.getAttribute('href'))), ['https://example.org/'])
    for (const href of await page.locator('#timeline a').evaluateAll((links) => links.map((link) => link.getAttribute('href') ?? ''))) {
      assert.match(href, /^(https?:|mailto:|[#/])/)
    }
    assert.equal(await page.locator('#messages img, #timeline img').count(), 0)
    assert.equal(await page.evaluate('window.executed'), undefined)
    assert.deepEqual(errorsOf.get(page), [])
  })
})

describe('the page', () => {
  test('says when the server is gone, and catches up when it is back', async (t) => {
    const page = await open(t, lin)
    assert.equal(await message(lin, 'before'), 'ok')
    await until(async () => assert.deepEqual(await titles(page), ['before']))

    await server.end('SIGKILL')
    await until(async () => assert.equal(await online(page), 'Reconnecting…'))
    await server.run()
    assert.ok(['ok', 'offline'].includes(await message(lin, 'after')))
    await connected(page)
    await until(async () => assert.deepEqual((await titles(page)).sort(), ['after', 'before']))
    assert.equal(await badge(page), '2')
    assert.equal(await message(lin, 'live again'), 'ok')
    await until(async () => assert.deepEqual((await titles(page)).sort(), ['after', 'before', 'live again']))
    assert.equal(await badge(page), '3')
  })

  test('shows older messages and activities on demand', async (t) => {
    const page = await open(t, lin)
    const before = (await activities(page)).length
    for (let i = 1; i <= 25; i++) {
      assert.equal(await message(lin, `m${i}`), 'ok')
      assert.equal(await server.push({ action: 'dynamic', companyID: lin.companyID, operatorID: 1, operator: 'o', title: 't', content: `a${i}` }), 'ok')
    }
    await page.reload()
    await connected(page)
    assert.equal((await titles(page)).length, 20)
    await page.click('#bell')
    await page.locator('#inbox .list-foot button').click()
    await until(async () => assert.deepEqual(await titles(page), Array.from({ length: 25 }, (_, i) => `m${25 - i}`)))
    await page.keyboard.press('Escape')
    await page.locator('.main .list-foot button').click()
    await until(async () => assert.ok((await activities(page)).length >= Math.min(25 + before, 40)))
  })

  test('works by keyboard: the bell opens and closes, and the focus comes back', async (t) => {
    const page = await open(t, lin)
    assert.equal(await message(lin, 'hello'), 'ok')
    await until(async () => assert.equal(await badge(page), '1'))
    const bell = page.locator('#bell')
    assert.equal(await bell.getAttribute('aria-label'), 'Messages: 1 unread message')
    assert.equal(await bell.getAttribute('aria-expanded'), 'false')
    await bell.focus()
    await page.keyboard.press('Enter')
    await until(async () => assert.equal(await bell.getAttribute('aria-expanded'), 'true'))
    assert.ok(await page.locator('#inbox').isVisible())
    await page.keyboard.press('Tab')
    assert.equal(await page.evaluate('document.activeElement.id'), 'read-all')
    await page.keyboard.press('Escape')
    await until(async () => assert.ok(await page.locator('#inbox').isHidden()))
    assert.equal(await page.evaluate('document.activeElement.id'), 'bell')
  })

  test('asks who is reading where the address does not say', async (t) => {
    const context = await newContext(browser, { locale: 'en-GB' })
    t.after(() => context.close())
    const page = await context.newPage()
    await page.goto(`${server.publicURL}/demo/`)
    await page.locator('.chooser a', { hasText: lin.name }).click()
    await connected(page)
    assert.equal(await page.locator('.me-name').textContent(), lin.name)
  })

  test('speaks Chinese to a browser that prefers it', async (t) => {
    const page = await open(t, lin, { options: { locale: 'zh-CN' } })
    assert.equal(await page.locator('html').getAttribute('lang'), 'zh-CN')
    assert.equal(await online(page), '1 人在线')
    assert.equal(await page.locator('#activity-title').textContent(), '最新动态')
  })

  test('fits a phone of 360 pixels without scrolling sideways', async (t) => {
    const page = await open(t, lin, { options: { viewport: { width: 360, height: 640 } } })
    assert.equal(await message(lin, 'w'.repeat(300), { content: 'https://example.org/' + 'x'.repeat(300) }), 'ok')
    await until(async () => assert.equal(await badge(page), '1'))
    await page.click('#bell')
    assert.equal(await page.evaluate('document.documentElement.scrollWidth'), 360)
  })
})
