// Puts the browser bundle of socket.io-client, under its own licence line, where
// belfry serves it: /socket.io/socket.io.js.
import { copyFile, mkdir } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

const client = dirname(createRequire(import.meta.url).resolve('socket.io-client/package.json'))
const target = join(import.meta.dirname, 'dist', 'client')
await mkdir(target, { recursive: true })
await copyFile(join(client, 'dist', 'socket.io.min.js'), join(target, 'socket.io.js'))
