import { existsSync } from 'node:fs'
import { chromium } from 'playwright-core'
import { patience } from './until.mjs'

const candidates = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome', '/usr/bin/google-chrome-stable']

/**
 * Starts a headless Chromium: the one that CHROMIUM names, or an installed one.
 *
 * @param {string[]} flags more of its command line flags
 */
export async function startBrowser(flags = []) {
  const executablePath = process.env.CHROMIUM ?? candidates.find((path) => existsSync(path))
  if (!executablePath) throw new Error(`no Chromium found; install it (apt-get install chromium) or name it in CHROMIUM`)
  return chromium.launch({
    executablePath,
    args: [
      '--no-sandbox', '--disable-gpu', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync',
      ...flags,
    ],
  })
}

/**
 * Makes a profile of its own for pages, in which whatever is waited for may take its time.
 *
 * @param {import('playwright-core').Browser} browser
 * @param {import('playwright-core').BrowserContextOptions} [options]
 */
export async function newContext(browser, options) {
  const context = await browser.newContext(options)
  context.setDefaultTimeout(patience)
  return context
}

/**
 * Keeps what goes wrong on a page, so that a test can demand that nothing did.
 *
 * @param {import('playwright-core').Page} page
 */
export function collectErrors(page) {
  /** @type {string[]} */
  const errors = []
  page.on('pageerror', (error) => errors.push(String(error)))
  return errors
}
