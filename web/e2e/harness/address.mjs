import { once } from 'node:events'
import { createServer } from 'node:net'

/**
 * Returns addresses of the loopback where nobody listens. Their ports are below those
 * that the system gives to whoever asks for any, so that nobody has them while the
 * server that listens there is down; and none is one of those (10080 is the highest)
 * that browsers refuse.
 *
 * @param {number} count
 */
export async function freeAddresses(count) {
  const listeners = []
  try {
    // They are held until there are enough, so that none is chosen twice.
    while (listeners.length < count) listeners.push(await listen())
    return listeners.map((listener) => {
      const { address, port } = /** @type {import('node:net').AddressInfo} */ (listener.address())
      return `${address}:${port}`
    })
  } finally {
    await Promise.all(listeners.map((listener) => once(listener.close(), 'close')))
  }
}

async function listen() {
  for (let tries = 1; ; tries++) {
    const listener = createServer()
    try {
      listener.listen(11_000 + Math.floor(Math.random() * 21_000), '127.0.0.1')
      await once(listener, 'listening')
      return listener
    } catch (error) {
      if (tries === 50) throw error
    }
  }
}
