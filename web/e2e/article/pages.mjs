import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { legacyClient } from '../install-clients.mjs'

/** @param {string} path inside node_modules */
const installed = (path) => new URL(`../../node_modules/${path}`, import.meta.url)

/**
 * The scripts that the page loads: jQuery, and the client of each generation
 * under its version.
 *
 * @type {Record<string, URL>}
 */
const scripts = {
  'jquery': installed('jquery/dist/jquery.min.js'),
  '1.3.7': legacyClient,
  '2.5.0': installed('socket.io-client-2/dist/socket.io.js'),
  '3.1.3': installed('socket.io-client-3/dist/socket.io.js'),
  '4.8.4': installed('socket.io-client-4/dist/socket.io.js'),
}

/**
 * What a page is made for.
 *
 * @typedef {object} Visit
 * @property {string} client the version of socket.io-client
 * @property {Record<string, unknown>} [options] given to io beside the address
 * @property {string} uid
 * @property {string} companyID
 */

/** @param {Visit} visit */
export const addressOf = (visit) => '/?visit=' + encodeURIComponent(JSON.stringify(visit))

/** Serves the article's page as its PHP application would, on a free port. */
export async function servePages() {
  const template = await readFile(new URL('page.php', import.meta.url), 'utf8')
  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://app.test')
    const script = scripts[url.pathname.slice(1).replace(/\.js$/, '')]
    const visit = url.searchParams.get('visit')
    if (script) {
      response.setHeader('Content-Type', 'text/javascript; charset=utf-8').end(await readFile(script))
    } else if (visit) {
      response.setHeader('Content-Type', 'text/html; charset=utf-8').end(fillIn(template, JSON.parse(visit)))
    } else {
      response.writeHead(404).end()
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the page server has no port')
  return { port: address.port, close: () => server.close() }
}

/**
 * Does PHP's part: puts values in place of the tags.
 *
 * @param {string} template
 * @param {Visit} visit
 */
function fillIn(template, { client, options, uid, companyID }) {
  /** @type {Record<string, string>} */
  const values = {
    '$client': client,
    '$options': options ? `(function (open) { io = function (url) { return open(url, ${JSON.stringify(options)}) } })(io)` : '',
    'Yii::$app->user->id': uid,
    'Yii::$app->user->identity->fdCompanyID': companyID,
    '\\common\\config\\Conf::MSG_HANDLE': '3',
    '$directoryAsset': '/assets',
  }
  return template.replace(/<\?=(.*?)\?>/g, (tag, name) => {
    const value = values[name.trim()]
    if (value === undefined) throw new Error(`no value for ${tag}`)
    return value
  })
}
