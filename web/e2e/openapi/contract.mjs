import assert from 'node:assert/strict'
import { operationsOf } from './faults.mjs'
import { breaches } from './schema.mjs'

/** A server, with the promise to answer as its document says. */
export class Contract {
  #operations
  #document

  /** @type {Set<string>} the operationIds of what was asked */
  asked = new Set()

  /**
   * @param {string} url of the server
   * @param {import('./faults.mjs').Document} document that it serves
   */
  constructor(url, document) {
    this.url = url
    this.#document = `${url}/v1/openapi.json`
    this.#operations = operationsOf(document)
  }

  /** The operationIds of the document. */
  get offered() {
    return new Set(this.#operations.map((op) => op.operationId))
  }

  /**
   * Asks as fetch does, and fails if the answer is not one that the document has.
   *
   * @param {string | URL | Request} address
   * @param {RequestInit} [request]
   */
  fetch = async (address, request = {}) => {
    const answer = await fetch(address, request)
    await this.#check(new URL(answer.url).pathname, request.method ?? 'GET', answer.clone())
    return answer
  }

  /**
   * @param {string} path
   * @param {string} method
   * @param {Response} answer
   */
  async #check(path, method, answer) {
    const op = this.#operations.find((op) => op.method === method.toLowerCase() && matches(op.path, path))
    assert.ok(op, `${method} ${path} is in the document`)
    this.asked.add(op.operationId)
    const status = answer.status in op.responses ? String(answer.status) : 'default'
    const { content } = op.responses[status]
    if (!content) {
      assert.equal(await answer.text(), '', `${op.operationId} answers ${status} without a body`)
      return
    }
    const type = answer.headers.get('Content-Type') ?? ''
    assert.ok(type in content, `${op.operationId} answers ${status} as ${Object.keys(content)}, not ${type}`)
    const body = await answer.json()
    const place = ['paths', op.path, op.method, 'responses', status, 'content', type, 'schema'].map(segment).join('/')
    const wrong = await breaches(`${this.#document}#/${place}`, body)
    assert.deepEqual(wrong, [], `${op.operationId} answers ${status} with ${JSON.stringify(body)}`)
  }
}

/**
 * Whether a path is one of a template's.
 *
 * @param {string} template
 * @param {string} path
 */
function matches(template, path) {
  const parts = path.split('/')
  const wanted = template.split('/')
  return parts.length === wanted.length && wanted.every((part, i) => part.startsWith('{') || part === parts[i])
}

/**
 * A name as a pointer in an address has it.
 *
 * @param {string} name
 */
function segment(name) {
  return encodeURIComponent(name.replaceAll('~', '~0').replaceAll('/', '~1'))
}
