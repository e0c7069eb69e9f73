// The quick start of both READMEs, as it stands: the page, opened as a file, and
// the fields of the curl command.
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { Belfry } from './harness/belfry.mjs'
import { startBrowser } from './harness/browser.mjs'
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

describe('the quick start', () => {
  for (const readme of ['README.md', 'README.zh-CN.md']) {
    test(`of ${readme} shows a message, and keeps one for a page that is closed`, async () => {
      const text = await readFile(new URL(`../../${readme}`, import.meta.url), 'utf8')
      const file = path.join(folder, `${readme}.html`)
      await writeFile(file, part(text, /```html\n([\s\S]*?)```/))
      const command = part(text, /(curl http:\/\/127\.0\.0\.1:2121\/ .*)/)
      const fields = Object.fromEntries([...command.matchAll(/-d (\w+)='?([^' ]+(?: [^' -]+)*)'?/g)].map(([, name, value]) => [name, value]))

      const page = await browser.newPage()
      await page.goto(pathToFileURL(file).href)
      await until(async () => assert.equal(await server.push(fields), 'ok'))
      const items = () => page.locator('#bell li').allTextContents()
      await until(async () => assert.deepEqual((await items()).at(0), `${fields.title} ${fields.content}`))
      await page.close()

      await until(async () => assert.equal(await server.push({ ...fields, title: 'later' }), 'offline'))
      const again = await browser.newPage()
      await again.goto(pathToFileURL(file).href)
      await until(async () => assert.deepEqual((await again.locator('#bell li').allTextContents()).at(-1), `later ${fields.content}`))
      await again.close()
    })
  }
})
