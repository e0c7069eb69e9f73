import { BASIC } from '@hyperjump/json-schema/experimental'
import '@hyperjump/json-schema/formats'
import { setShouldValidateFormat, validate } from '@hyperjump/json-schema/openapi-3-1'

setShouldValidateFormat(true)

/** @type {Map<string, ReturnType<typeof validate>>} compiled, by address */
const validators = new Map()

/**
 * Says where a value is not as a schema demands.
 *
 * @param {string} schema its address: of one of the specifications', which are at hand,
 *   or in an OpenAPI document that a server serves
 * @param {unknown} value
 * @returns {Promise<string[]>}
 */
export async function breaches(schema, value) {
  const validator = validators.get(schema) ?? validate(schema)
  validators.set(schema, validator)
  const output = (await validator)(/** @type {any} */ (value), BASIC)
  if (output.valid) return []
  return (output.errors ?? []).map((e) => `${e.instanceLocation} is not as ${e.absoluteKeywordLocation} demands`)
}
