import { execFile } from 'node:child_process'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)

const generated = new URL('generated/', import.meta.url)

/** Where the tour lies once it is compiled. */
export const compiledTour = new URL('js/tour.js', generated)

/**
 * Makes a client of a document with oazapfts, in a file of the document's name.
 *
 * @param {string} name
 * @param {unknown} document
 */
async function generate(name, document) {
  const input = new URL(`${name}.json`, generated)
  await writeFile(input, JSON.stringify(document))
  await tool('oazapfts', fileURLToPath(input), fileURLToPath(new URL(`${name}.ts`, generated)))
}

/**
 * Makes a client of each document, and compiles the tour that uses them.
 *
 * @param {Record<string, unknown>} documents
 */
export async function generateClients(documents) {
  await rm(generated, { recursive: true, force: true })
  await mkdir(generated)
  await Promise.all(Object.entries(documents).map(([name, document]) => generate(name, document)))
  await tool('tsc', '--project', fileURLToPath(new URL('tsconfig.json', import.meta.url)))
}

/**
 * Runs a program of the workspace; what it says of a failure is in the error.
 *
 * @param {string} name
 * @param {string[]} args
 */
async function tool(name, ...args) {
  const program = fileURLToPath(new URL(`../../node_modules/.bin/${name}`, import.meta.url))
  await run(program, args).catch((error) => {
    throw new Error(`${name} failed:\n${error.stdout}${error.stderr}`)
  })
}
