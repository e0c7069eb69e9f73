// What is wrong with an OpenAPI document: by the meta-schema that the OpenAPI
// Initiative publishes, schemas within it included, and by what its specification
// demands in prose.

import { breaches } from './schema.mjs'

const metaSchema = 'https://spec.openapis.org/oas/3.1/schema-base'

const methods = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace']

/**
 * As much of a document as is looked at here.
 *
 * @typedef {object} Document
 * @property {Record<string, Record<string, any>>} paths
 * @property {Record<string, any>} components
 */

/**
 * @param {Document} document
 * @returns {Promise<string[]>} none if the document is right
 */
export async function faultsOf(document) {
  const broken = await breaches(metaSchema, document)
  if (broken.length > 0) return broken // the rest needs its form
  return [...danglingReferences(document, document), ...repeatedIDs(document), ...undeclaredParameters(document)]
}

/**
 * The operations of a document, each with its method and its path.
 *
 * @param {Document} document
 */
export function operationsOf(document) {
  return Object.entries(document.paths).flatMap(([path, item]) =>
    methods.filter((method) => method in item).map((method) => ({ method, path, shared: item.parameters ?? [], ...item[method] })),
  )
}

/**
 * @param {Document} document
 * @param {unknown} part
 * @returns {string[]}
 */
function danglingReferences(document, part) {
  if (part === null || typeof part !== 'object') return []
  return Object.entries(part).flatMap(([name, value]) => {
    const isReference = name === '$ref' && typeof value === 'string'
    if (isReference) return resolve(document, value) === undefined ? [`${value} refers to nothing`] : []
    return danglingReferences(document, value)
  })
}

/**
 * @param {Document} document
 * @param {string} reference
 */
function resolve(document, reference) {
  if (!reference.startsWith('#/')) return undefined
  const names = reference.slice(2).split('/').map((name) => decodeURIComponent(name).replaceAll('~1', '/').replaceAll('~0', '~'))
  return names.reduce((/** @type {any} */ at, name) => at?.[name], document)
}

/** @param {Document} document */
function repeatedIDs(document) {
  const ids = operationsOf(document).map((op) => op.operationId)
  return ids.filter((id, i) => ids.indexOf(id) !== i).map((id) => `the operationId ${id} is used twice`)
}

/** @param {Document} document */
function undeclaredParameters(document) {
  return operationsOf(document).flatMap(({ path, shared, operationId, parameters = [] }) => {
    const declared = [...shared, ...parameters].filter((p) => p.in === 'path').map((p) => p.name)
    const named = [...path.matchAll(/\{(.+?)\}/g)].map(([, name]) => name)
    return [
      ...named.filter((name) => !declared.includes(name)).map((name) => `${operationId} does not declare {${name}} of its path`),
      ...declared.filter((name) => !named.includes(name)).map((name) => `${operationId} declares {${name}}, which its path has not`),
    ]
  })
}
