/** How long anything may take, in milliseconds: machines that run tests stand still at times. */
export const patience = 60_000

/** How often it is looked at, in milliseconds. */
const interval = 20

/**
 * Calls check again and again until it no longer throws, and returns what it
 * returned. At the deadline it throws what check threw last.
 *
 * @template T
 * @param {() => T | Promise<T>} check
 * @returns {Promise<T>}
 */
export async function until(check) {
  const deadline = performance.now() + patience
  for (;;) {
    try {
      return await check()
    } catch (error) {
      if (performance.now() > deadline) throw error
    }
    await new Promise((resolve) => setTimeout(resolve, interval))
  }
}
