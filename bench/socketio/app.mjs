// The article's push server on Socket.IO, in memory, for comparison: pages log in with {uid, companyID}
// and get new_msg, update_dynamic and update_online_count; backends push over HTTP. It does what belfry
// does with store=0, and nothing is checked: neither tokens nor keys, as with `belfry serve --dev`.
//
//   node app.mjs ADDRESS-FOR-PAGES ADDRESS-FOR-BACKENDS     such as 127.0.0.1:2120 127.0.0.1:2121
//
// SIGTERM stops it. Settings are Socket.IO's defaults, and what its pages on performance and memory recommend:
// ws with its native add-ons, no reference to the first request of a session.
import { createServer } from 'node:http'
import { parse } from 'node:querystring'
import { Server } from 'socket.io'

const [pagesAt, backendsAt] = process.argv.slice(2)

// countEvery is how often a company is told its number of people, in ms, once for all who came and went
// meanwhile. belfry does it every 250 ms; with 10,000 pages that would take half of what Node can do.
const countEvery = 1000

const pages = createServer()
const io = new Server(pages, { serveClient: false })
io.engine.on('connection', (raw) => { raw.request = null })

// companies has, for each company, how many pages each of its users has open.
const companies = new Map()
const changed = new Set()

io.on('connection', (socket) => {
  socket.on('login', (who, ack) => {
    const answer = login(socket, who)
    if (typeof ack === 'function') ack(answer)
  })
  if (socket.handshake.auth?.uid) login(socket, socket.handshake.auth)
})

function login(socket, who) {
  const uid = String(who?.uid ?? ''), companyID = String(who?.companyID ?? '')
  if (!uid || !companyID || socket.data.uid) return { ok: false, error: { code: 'invalid', message: 'uid and companyID, once' } }
  socket.data.uid = uid
  socket.join(['uid:' + uid, 'company:' + companyID])
  let users = companies.get(companyID)
  if (!users) companies.set(companyID, users = new Map())
  const open = users.get(uid) ?? 0
  users.set(uid, open + 1)
  if (!open) changed.add(companyID)
  socket.on('disconnect', () => logout(uid, companyID))
  const counts = { unread: 0, unseen: 0, byType: {}, version: 0 } // nothing is stored
  socket.emit('counts', counts)
  socket.emit('update_online_count', users.size)
  return { ok: true, uid, companyID, online: users.size, counts }
}

function logout(uid, companyID) {
  const users = companies.get(companyID)
  const open = users.get(uid) - 1
  if (open) return users.set(uid, open)
  users.delete(uid)
  changed.add(companyID)
}

setInterval(() => {
  for (const company of changed) {
    io.to('company:' + company).emit('update_online_count', companies.get(company).size)
  }
  changed.clear()
}, countEvery)

const backends = createServer((request, response) => {
  let body = ''
  request.setEncoding('latin1') // of a form: ASCII
  request.on('data', (part) => { body += part })
  request.on('end', () => {
    const word = push(parse(body))
    response.writeHead(200, { 'Content-Type': 'text/plain; charset=utf-8', 'Content-Length': word.length })
    response.end(word)
  })
})

// push sends a message to a user, or an activity to a company, and says whether a page was there.
function push({ action, store, ...fields }) {
  const [room, event] = action === 'message' ? ['uid:' + fields.receiverID, 'new_msg'] : ['company:' + fields.companyID, 'update_dynamic']
  if (!io.of('/').adapter.rooms.has(room)) return 'offline'
  io.to(room).emit(event, fields)
  return 'ok'
}

function listen(server, address) {
  const [host, port] = address.split(':')
  return new Promise((done, failed) => server.once('error', failed).listen({ host, port: Number(port), backlog: 4096 }, done))
}

process.once('SIGTERM', () => process.exit(0))
await listen(pages, pagesAt)
await listen(backends, backendsAt)
