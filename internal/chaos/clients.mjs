// Pages by the official clients, as docs/pages.md says that pages are: node clients.mjs <package.json of the workspace>
// <url> <pages as JSON: [{client, token}]>. Each line of the output is what happened to a page. It ends with its input.

import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const [workspace, url, pages] = process.argv.slice(2)
const require = createRequire(pathToFileURL(workspace))

/** @param {number} page @param {string} what @param {object} more */
const say = (page, what, more = {}) => process.stdout.write(JSON.stringify({ page, what, ...more }) + '\n')

const events = ['new_msg', 'update_dynamic', 'msg_read', 'counts', 'reset']

JSON.parse(pages).forEach(({ client, token }, page) => {
  const recovers = client === 'socket.io-client-4'
  const options = { forceNew: true, transports: ['websocket'], reconnectionDelay: 100, reconnectionDelayMax: 1000, timeout: 5000 }
  const login = { token, format: 'text' }
  const socket = require(client)(url, recovers ? { ...options, auth: login } : options)
  let cursor = ''
  let isIn = false
  let connects = 0

  socket.on('connect', () => {
    isIn = false
    say(page, 'connects')
    if (recovers) {
      if (connects++ > 0 && !socket.recovered) say(page, 'anew', { why: 'not recovered' })
      return
    }
    const before = cursor
    socket.emit('login', { ...login, cursor }, (answer) => {
      if (!answer.ok) {
        say(page, 'refused')
        setTimeout(() => socket.disconnect().connect(), 500)
        return
      }
      cursor = answer.cursor
      say(page, 'in', { counts: answer.counts })
      if (answer.reset || (connects++ > 0 && !before)) say(page, 'anew', { why: 'reset' })
    })
  })
  socket.on('disconnect', (why) => {
    say(page, 'out', { why })
    if (why === 'io server disconnect') setTimeout(() => socket.connect(), 500)
  })
  socket.on('connect_error', () => {
    if (recovers && !socket.active) {
      say(page, 'refused')
      setTimeout(() => socket.connect(), 500)
    }
  })
  for (const event of events) {
    socket.on(event, (...args) => {
      const last = args.at(-1)
      if (typeof last === 'string') cursor = last
      say(page, 'event', { event, args })
      if (recovers && !isIn && event === 'counts' && typeof last === 'string') {
        isIn = true
        say(page, 'in', { counts: args[0] })
      }
    })
  }
})

process.stdin.on('end', () => process.exit()).resume()
