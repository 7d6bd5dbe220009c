// One process at a time, by a name that the system gives to one process and takes back when that ends, however it ends: nothing
// is left to be cleaned up, and no other process that gets the same id is taken for it.
import crypto from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';

/** So long another process may hold a place, ms. */
const PATIENCE = 30 * 60_000;

/**
 * Runs `work` while no other process on this machine does so for the same folder, and waits for one that does.
 * @param waits called once where there is one to wait for
 * @throws where that takes longer than half an hour
 */
export async function alone(folder, work, waits) {
  const address = addressOf(fs.realpathSync(folder));
  const until = Date.now() + PATIENCE;
  let server = await listen(address);
  if (!server) waits();
  for (; !server; server = await listen(address)) {
    await ended(address, until - Date.now());
    if (Date.now() > until) throw new Error(`Another process works on ${folder} for too long. End it and try again.`);
  }
  try {
    return await work();
  } finally {
    server.giveUp();
  }
}

/** A name of Linux's abstract sockets or of Windows' pipes; elsewhere a socket's file. */
function addressOf(folder) {
  const name = `effilora-${crypto.createHash('sha256').update(folder).digest('hex').slice(0, 32)}`;
  if (process.platform === 'linux') return `\0${name}`;
  return process.platform === 'win32' ? `\\\\.\\pipe\\${name}` : path.join(os.tmpdir(), name);
}

/** Undefined where another process has the address. */
async function listen(address) {
  const server = net.createServer();
  const waiting = new Set();
  server.on('connection', (socket) => waiting.add(socket.on('error', () => {})));
  try {
    server.listen(address);
    await once(server, 'listening');
  } catch (error) {
    if (error.code === 'EADDRINUSE') return undefined;
    throw error;
  }
  return {
    giveUp() {
      server.close();
      for (const socket of waiting) socket.destroy();
    },
  };
}

/** Waits until the process that has the address gives it up or has ended. */
async function ended(address, patience) {
  const socket = net.connect(address).resume();
  const timer = setTimeout(() => socket.destroy(), patience);
  const failure = await new Promise((resolve) => socket.once('error', resolve).once('close', () => resolve(undefined)));
  clearTimeout(timer);
  // The file that a killed process left, where sockets are files.
  if (failure?.code === 'ECONNREFUSED' && path.isAbsolute(address)) fs.rmSync(address, { force: true });
}
