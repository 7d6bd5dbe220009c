/* eslint-disable @typescript-eslint/no-require-imports -- Node 16 under Electron 22 starts CommonJS only */
// The app's entry under Electron 22: supplies what that Node 16 and that Electron lack beside the ones in use (Node 22,
// Electron 41), and then starts the studio's real main process. What is supplied here is not tested by the test around it:
// - globals of Node 18 and later: structuredClone, Blob, File, FormData, web streams, Response, crypto, AbortSignal.any
// - protocol.handle and net.fetch, over Electron 22's protocol.registerBufferProtocol
// - utilityProcess.fork starts Node (EFFILORA_TEST_NODE) on our source, as trainer and helpers need Node 20
const { fork } = require('node:child_process');
const { EventEmitter } = require('node:events');
const { readFile } = require('node:fs/promises');
const Module = require('node:module');
const { fileURLToPath } = require('node:url');
const v8 = require('node:v8');
const electron = require('electron');

class Response {
  constructor(body, { status = 200, headers = {} } = {}) {
    this.body = Buffer.from(body ?? '');
    this.status = status;
    this.headers = headers;
  }
}

const { Blob } = require('node:buffer');
Object.assign(globalThis, require('node:stream/web'), {
  Blob,
  File: class File extends Blob {},
  FormData: class FormData {},
  Response,
  structuredClone: (value) => v8.deserialize(v8.serialize(value)),
  crypto: require('node:crypto').webcrypto,
});

AbortSignal.any ??= (signals) => {
  const control = new AbortController();
  const abort = () => control.abort();
  for (const signal of signals)
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  return control.signal;
};
// Fastify, which serves adapters where a user asks for it, looks for one at its start.
require('node:diagnostics_channel').tracingChannel ??= () => ({ hasSubscribers: false });

const TYPES = { html: 'text/html', js: 'text/javascript', css: 'text/css', svg: 'image/svg+xml', woff2: 'font/woff2' };
const net = {
  async fetch(address) {
    const type = TYPES[address.split('.').at(-1)] ?? 'application/octet-stream';
    const bytes = await readFile(fileURLToPath(address)).catch(() => undefined);
    return bytes ? new Response(bytes, { headers: { 'content-type': type } }) : new Response('', { status: 404 });
  },
};

/** Electron 25's protocol.handle. */
function handle(scheme, answer) {
  electron.protocol.registerBufferProtocol(scheme, async (request, done) => {
    const { body, status, headers } = await answer(request);
    done({ statusCode: status, data: body, headers });
  });
}

/** Electron's utility process, as far as electron/utility.ts uses it. */
function forkNode(entry) {
  const child = fork(entry, [], {
    execPath: process.env.EFFILORA_TEST_NODE,
    execArgv: ['--import', process.env.EFFILORA_TEST_TSX],
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  const utility = new EventEmitter();
  for (const event of ['message', 'exit']) child.on(event, (value) => utility.emit(event, value));
  child.stderr.pipe(process.stderr);
  return Object.assign(utility, {
    pid: child.pid,
    stderr: child.stderr,
    postMessage: (message) => child.connected && child.send(message, () => {}),
    kill: () => child.kill(),
  });
}

const supplied = { ...electron, net, utilityProcess: { fork: forkNode } };
Object.defineProperty(supplied, 'protocol', {
  get: () => ({
    handle,
    registerSchemesAsPrivileged: electron.protocol.registerSchemesAsPrivileged.bind(electron.protocol),
  }),
});
const load = Module._load;
Module._load = (name, ...rest) => (name === 'electron' ? supplied : load(name, ...rest));
require('./out/main/index.cjs');
