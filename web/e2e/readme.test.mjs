// The quick start of both READMEs, as it stands: the page, opened as a file, and
// the fields of the curl command.
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { Belfry } from './harness/belfry.mjs'
import { newContext, startBrowser } from './harness/browser.mjs'
import { until } from './harness/until.mjs'

/** @type {Belfry} */
let server
/** @type {import('playwright-core').Browser} */
let browser
let folder = ''

before(async () => {
  server = await Belfry.start('serve', '--dev')
  // The page says port 2120.
  browser = await startBrowser([`--host-resolver-rules=MAP localhost:2120 127.0.0.1:${server.publicPort}`])
  folder = await mkdtemp(path.join(tmpdir(), 'belfry-readme-'))
})

after(async () => {
  await browser?.close()
  await server?.stop()
  await rm(folder, { recursive: true, force: true })
})

/**
 * @param {string} text
 * @param {RegExp} pattern
 */
function part(text, pattern) {
  const match = pattern.exec(text)
  assert.ok(match?.[1], `the README has ${pattern}`)
  return match[1]
}

/**
 * Opens a file in a profile of its own.
 *
 * @param {string} file
 */
async function open(file) {
  const page = await (await newContext(browser)).newPage()
  await page.goto(pathToFileURL(file).href)
  return page
}

/**
 * How many pages a user has open, as the server counts them.
 *
 * @param {string | undefined} uid
 */
async function pagesOf(uid) {
  const answer = await fetch(`${server.pushURL}/v1/users/${uid}/online`)
  return /** @type {{ pages: unknown[] }} */ (await answer.json()).pages.length
}

/** @param {import('playwright-core').Page} page */
const items = (page) => page.locator('#bell li').allTextContents()

describe('the quick start', () => {
  for (const readme of ['README.md', 'README.zh-CN.md']) {
    test(`of ${readme} shows a message, and keeps one for a page that is closed`, async () => {
      const text = await readFile(new URL(`../../${readme}`, import.meta.url), 'utf8')
      const file = path.join(folder, `${readme}.html`)
      await writeFile(file, part(text, /```html\n([\s\S]*?)```/))
      const command = part(text, /(curl http:\/\/127\.0\.0\.1:2121\/ .*)/)
      const fields = Object.fromEntries([...command.matchAll(/-d (\w+)='?([^' ]+(?: [^' -]+)*)'?/g)].map(([, name, value]) => [name, value]))

      const page = await open(file)
      await until(async () => assert.equal(await pagesOf(fields.receiverID), 1))
      let pushed = 0
      await until(async () => {
        pushed++ // one that is pushed a moment too early comes, too
        assert.equal(await server.push(fields), 'ok')
      })
      await until(async () => assert.deepEqual(await items(page), Array(pushed).fill(`${fields.title} ${fields.content}`)))
      await page.context().close()

      let title = ''
      await until(async () => {
        title = `later ${++pushed}`
        assert.equal(await server.push({ ...fields, title }), 'offline')
      })
      const again = await open(file)
      await until(async () => assert.equal((await items(again)).at(0), `${title} ${fields.content}`))
      // Those before it may have been for the page that was closing, which has had what was pushed first.
      for (const item of await items(again)) assert.match(item, /^later /)
      await again.context().close()
      await until(async () => assert.equal(await pagesOf(fields.receiverID), 0)) // the next test waits for one
    })
  }
})
