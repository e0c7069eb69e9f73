// The OpenAPI documents of both ports: an independent validator takes them, and the
// clients that a public generator makes of them work.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { Belfry } from './harness/belfry.mjs'
import { Contract } from './openapi/contract.mjs'
import { faultsOf } from './openapi/faults.mjs'
import { compiledTour, generateClients } from './openapi/generate.mjs'

/** @type {Belfry} */
let server
/** @type {Record<string, any>} */
let documents

before(async () => {
  server = await Belfry.start('serve', '--dev')
  documents = { backend: await documentOf(server.pushURL), pages: await documentOf(server.publicURL) }
})

after(async () => {
  await server?.stop()
})

/** @param {string} url */
async function documentOf(url) {
  const answer = await fetch(`${url}/v1/openapi.json`)
  assert.equal(answer.headers.get('Content-Type'), 'application/openapi+json')
  return answer.json()
}

describe('a validator', () => {
  for (const name of ['backend', 'pages']) {
    test(`finds no fault with the document for ${name}`, async () => {
      assert.match(documents[name].openapi, /^3\.1\./)
      assert.deepEqual(await faultsOf(documents[name]), [])
    })
  }

  /** @type {[string, (document: any) => void, RegExp][]} */
  const wrongs = [
    ['without a title', (d) => delete d.info.title, /#\/info is not as .*required/],
    ['with a part that OpenAPI does not have', (d) => (d.paths['/v1/messages'].post.colour = 'red'), /\/post.* is not as /],
    ['with a parameter in no place', (d) => (d.paths['/v1/messages'].post.parameters[0].in = 'body'), /\/in is not as .*enum/],
    ['with a type that JSON Schema does not have', (d) => (d.components.schemas.Problem.properties.title.type = 'text'), /\/title\/type is not as /],
    ['with a bound that cannot be', (d) => (d.components.schemas.MessageDraft.properties.title.maxLength = -1), /\/maxLength is not as .*minimum/],
    ['that refers to nothing', (d) => delete d.components.schemas.Problem, /^#\/components\/schemas\/Problem refers to nothing$/],
    ['with an operationId twice', (d) => (d.paths['/v1/messages'].post.operationId = 'getMessage'), /^the operationId getMessage is used twice$/],
    ['with a parameter of a path that is not declared', (d) => delete d.paths['/v1/messages/{id}'].get.parameters, /^getMessage does not declare \{id\} of its path$/],
    ['with a parameter that the path does not have', (d) => (d.paths['/v1/messages'] = d.paths['/v1/messages/{id}']), /declares \{id\}, which its path has not$/],
  ]
  for (const [what, spoil, fault] of wrongs) {
    test(`refuses a document ${what}`, async () => {
      const document = structuredClone(documents.backend)
      spoil(document)
      const faults = await faultsOf(document)
      assert.ok(faults.some((f) => fault.test(f)), `it finds ${faults.join('\n') || 'nothing'}`)
    })
  }
})

test('an answer that its document does not have is noticed', async (t) => {
  const counts = { unread: 1, unseen: 1, byType: {}, version: 'two' }
  const liar = createServer((request, answer) => {
    const isDocument = request.url === '/v1/openapi.json'
    // A kept connection would end after 5 s, also just when somebody uses it again.
    answer.setHeader('Connection', 'close')
    answer.setHeader('Content-Type', isDocument ? 'application/openapi+json' : 'application/json')
    answer.end(JSON.stringify(isDocument ? documents.backend : counts))
  }).listen(0, '127.0.0.1')
  t.after(() => liar.close())
  await once(liar, 'listening')
  const { port } = /** @type {import('node:net').AddressInfo} */ (liar.address())
  const contract = new Contract(`http://127.0.0.1:${port}`, documents.backend)
  await assert.rejects(contract.fetch(`${contract.url}/v1/users/ann/counts`), /getCounts answers 200 .*two/)
  await assert.rejects(contract.fetch(`${contract.url}/v1/nothing`), /in the document/)
})

test('generated clients type-check, and do all that the documents offer', async (t) => {
  await generateClients(documents)
  const tour = await import(compiledTour.href)
  const push = new Contract(server.pushURL, documents.backend)
  const open = new Contract(server.publicURL, documents.pages)
  tour.begin(push, open)
  for (const [name, step] of Object.entries({ ...tour.backends, ...tour.users })) await t.test(name, step)
  assert.deepEqual(push.asked, push.offered)
  assert.deepEqual(open.asked, open.offered)
})
