// Writes what the real emitters publish, as JSON, to the standard output.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const date = new Date('2026-11-25T13:20:00.250Z');
const records = [];

// publishing gives an emitter a Redis client that only writes down, under a name for what is emitted.
function publishing(emitter, make) {
  return (name, emit) => {
    const record = { name: `${emitter}: ${name}`, published: [] };
    const publish = (channel, payload) =>
      record.published.push({ channel, payload: Buffer.from(payload).toString('base64') });
    emit(make({ publish, hset() {} }));
    records.push(record);
  };
}

// emitted is what all generations can do.
function emitted(on) {
  on('to all', (io) => io.emit('tick'));
  on('to a room', (io) => io.to('uid:1').emit('note', 'hello', 7));
  on('to two rooms', (io) => io.to('uid:1').to('company:2').emit('note', { title: 'é', list: [1, -1, 2.5, null, true] }));
  on('volatile', (io) => io.volatile.to('uid:1').emit('note', { n: 1 }));
  on('numbers of all sizes', (io) => io.emit('note', [0, 127, 255, 65535, 4294967295, 9007199254740991, -32, -128, -32768, -2147483648, -9007199254740991, 0.1]));
  on('long text', (io) => io.emit('note', 'x'.repeat(40), 'y'.repeat(300)));
  on('in a namespace', (io) => io.of('/chat').to('uid:1').emit('note', 'hello'));
}

const msgpack2and3 = (on) => {
  on('a date and undefined', (io) => io.emit('note', { at: date, gone: undefined }, [undefined, 1], date));
  on('binary', (io) => io.to('uid:1').emit('file', { name: 'a', data: Buffer.from([1, 2, 255]) }));
};

const one = publishing('socket.io-emitter 1', (client) => require('socket.io-emitter-1')(client));
emitted(one);

const three = publishing('socket.io-emitter 3', (client) => require('socket.io-emitter-3')(client));
emitted(three);
msgpack2and3(three);
three('an ArrayBuffer', (io) => io.emit('file', new Uint8Array([1, 2, 255]).buffer));

for (const generation of [4, 5]) {
  const { Emitter } = require(`redis-emitter-${generation}`);
  const on = publishing(`@socket.io/redis-emitter ${generation}`, (client) => new Emitter(client));
  emitted(on);
  msgpack2and3(on);
  on('a Uint8Array', (io) => io.emit('file', new Uint8Array([1, 2, 255])));
  on('except a room', (io) => io.to(['company:2', 'company:3']).except('uid:1').emit('note', 'hello'));
  on('disconnectSockets', (io) => io.in('uid:1').except('uid:2').disconnectSockets(true));
  on('disconnectSockets of all', (io) => io.disconnectSockets());
  on('socketsJoin', (io) => io.in('uid:1').socketsJoin('room'));
  on('socketsLeave', (io) => io.in('uid:1').socketsLeave('room'));
  on('serverSideEmit', (io) => io.serverSideEmit('hello', 1));
}

process.stdout.write(JSON.stringify(records, null, 1) + '\n');
