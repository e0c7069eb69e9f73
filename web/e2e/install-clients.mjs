// Puts the browser bundle of socket.io-client 1.3.7, the newest that pages of the
// article's time load, into the cache. npm cannot install it: one of its dependencies
// is named by the address of a source archive. Its package holds the finished bundle,
// which needs none of them.

import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFile, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)

const version = '1.3.7'
const packageIntegrity = 'sha512-yA4irP1priy7yewFB31N44xjFcGxRI4Yjyk572rdMdKAMtEPS+ntgzV0H0VSiky5DE1vh6djUNZHiOaXRdxi6w=='

const cache = new URL('../node_modules/.cache/belfry-e2e/', import.meta.url)

/** Where the bundle lies once this program has run. */
export const legacyClient = new URL(`socket.io-client-${version}.js`, cache)

async function install() {
  const work = await mkdtemp(path.join(tmpdir(), 'belfry-clients-'))
  try {
    const { stdout } = await run('npm', ['pack', `socket.io-client@${version}`, '--json', '--pack-destination', work])
    const archive = path.join(work, JSON.parse(stdout)[0].filename)
    const integrity = 'sha512-' + createHash('sha512').update(await readFile(archive)).digest('base64')
    if (integrity !== packageIntegrity) throw new Error(`socket.io-client ${version} is ${integrity}, not ${packageIntegrity}`)
    await run('tar', ['-xzf', archive, '-C', work])
    await mkdir(cache, { recursive: true })
    await copyFile(path.join(work, 'package', 'socket.io.js'), legacyClient)
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

/** Whether a bundle lies there; the copy is made in one step after the check. */
async function installed() {
  return readFile(legacyClient).then((bundle) => bundle.length > 0, () => false)
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href && !(await installed())) await install()
