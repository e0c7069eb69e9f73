import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { freeAddresses } from './address.mjs'
import { patience } from './until.mjs'

const binary = process.env.BELFRY_BIN ?? fileURLToPath(new URL('../../../bin/belfry', import.meta.url))

/** @typedef {Record<string, string | number>} Fields */

/** A belfry server of its own, with its own data. */
export class Belfry {
  /** @type {import('node:child_process').ChildProcess | undefined} */
  #process
  /** @type {string[]} */
  #log = []
  #public
  #push

  /**
   * @param {string[]} command
   * @param {string} data
   * @param {string} publicAddress
   * @param {string} pushAddress
   */
  constructor(command, data, publicAddress, pushAddress) {
    this.command = command
    this.data = data
    this.#public = publicAddress
    this.#push = pushAddress
  }

  /**
   * Starts a server on free ports with an empty data directory.
   *
   * @param {string[]} command what to run, and flags of its own
   */
  static async start(...command) {
    for (let tries = 1; ; tries++) {
      const [open, push] = /** @type {[string, string]} */ (await freeAddresses(2))
      const server = new Belfry(command, await mkdtemp(path.join(tmpdir(), 'belfry-e2e-')), open, push)
      try {
        await server.run()
        return server
      } catch (error) {
        await server.stop()
        // Another test that looked for ports at the same time may have the same.
        if (tries === 3 || !server.log.includes('address already in use')) throw error
      }
    }
  }

  /** Runs the server, on the same ports every time. */
  async run() {
    const flags = ['--listen', this.#public, '--push-listen', this.#push, '--data', this.data, '--log-format', 'json']
    const child = spawn(binary, [...this.command, ...flags], { stdio: ['ignore', 'ignore', 'pipe'] })
    this.#process = child
    const failed = Promise.race([
      once(child, 'exit').then(([code, signal]) => `ended with ${signal ?? code}`),
      once(child, 'error').then(([error]) => error.message),
      new Promise((resolve) => setTimeout(resolve, patience, 'did not listen in time').unref()),
    ])
    const why = await Promise.race([this.#listening(child).then(() => undefined), failed])
    if (why !== undefined) throw new Error(`${[binary, ...this.command].join(' ')} ${why}; its log:\n${this.log}`)
  }

  /** @param {import('node:child_process').ChildProcess} child */
  #listening(child) {
    return new Promise((resolve) => {
      if (!child.stderr) throw new Error('no log to read')
      createInterface({ input: child.stderr }).on('line', (line) => {
        this.#log.push(line)
        if (parse(line).msg === 'listening') resolve(undefined)
      })
    })
  }

  /** What the server logged, for the report of a failure. */
  get log() {
    return this.#log.join('\n')
  }

  get publicURL() {
    return `http://${this.#public}`
  }

  get pushURL() {
    return `http://${this.#push}`
  }

  get publicPort() {
    return Number(new URL(this.publicURL).port)
  }

  /**
   * Ends the process and keeps the data, as a crash does.
   *
   * @param {NodeJS.Signals} signal
   */
  async end(signal = 'SIGTERM') {
    const child = this.#process
    this.#process = undefined
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill(signal)
    const deadline = setTimeout(() => child.kill('SIGKILL'), patience)
    await gone
    clearTimeout(deadline)
  }

  /** Ends the process and deletes the data. */
  async stop() {
    await this.end()
    await rm(this.data, { recursive: true, force: true })
  }

  /**
   * Pushes as the article's application does: a POST with an empty body and
   * all fields in the query.
   *
   * @param {Fields} fields
   */
  async push(fields) {
    return this.#post('/?' + encode(fields))
  }

  /**
   * Pushes with the fields as a form in the body.
   *
   * @param {Fields} fields
   */
  async pushForm(fields) {
    return this.#post('/', encode(fields))
  }

  /**
   * @param {string} address
   * @param {URLSearchParams} [body]
   */
  async #post(address, body) {
    const answer = await fetch(this.pushURL + address, { method: 'POST', ...(body ? { body } : {}) })
    const text = await answer.text()
    const reason = answer.headers.get('X-Belfry-Error')
    return reason === null ? text : `${text}: ${reason}`
  }
}

/** @param {Fields} fields */
function encode(fields) {
  return new URLSearchParams(Object.entries(fields).map(([name, value]) => [name, String(value)]))
}

/** @param {string} line */
function parse(line) {
  try {
    return JSON.parse(line)
  } catch {
    return {}
  }
}
