// Preloaded into a trainer by power-cut.ts: every change of its run's folder is recorded in the order in which it happened.
import fs from 'node:fs';
import fsp from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';

const { EFFILORA_TEST_ROOT: root, EFFILORA_TEST_RECORD: file } = process.env;
const isOurs = (path) => typeof path === 'string' && path.startsWith(root);
const { appendFileSync } = fs;
const record = (change) => appendFileSync(file, `${JSON.stringify(change)}\n`);
const base64 = (data) => Buffer.from(data).toString('base64');

/** Whole or in pieces. */
async function bytesOf(data) {
  if (typeof data === 'string' || ArrayBuffer.isView(data)) return Buffer.from(data);
  const pieces = [];
  for await (const piece of data) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}

function watchHandle(handle, path) {
  const { writeFile, appendFile, sync, truncate } = handle;
  const write = (way) => async (data) => {
    const bytes = await bytesOf(data);
    await way.call(handle, bytes);
    record({ change: 'append', path, data: base64(bytes) });
  };
  handle.writeFile = write(writeFile);
  handle.appendFile = write(appendFile);
  handle.truncate = async (length) => {
    await truncate.call(handle, length);
    record({ change: 'truncate', path, length });
  };
  handle.sync = async () => {
    await sync.call(handle);
    record({ change: 'sync', path });
  };
  handle.write = () => Promise.reject(new Error('A way of writing that is not recorded: FileHandle.write'));
  return handle;
}

if (/trainer\/process\.ts$|\/process\.js$/.test(process.argv[1])) {
  const { open, writeFile, appendFile, rename, mkdir, rm, rmdir, link, copyFile } = fsp;
  fsp.open = async (path, flags, ...more) => {
    const handle = await open(path, flags, ...more);
    if (!isOurs(path)) return handle;
    if (/^w/.test(flags)) record({ change: 'create', path });
    if (/^a/.test(flags)) record({ change: 'touch', path });
    return watchHandle(handle, path);
  };
  fsp.writeFile = async (target, data, ...more) => {
    if (typeof target === 'object' && 'fd' in target) return target.writeFile(data);
    await writeFile(target, data, ...more);
    if (isOurs(target)) {
      record({ change: 'create', path: target });
      record({ change: 'append', path: target, data: base64(data) });
    }
  };
  fsp.appendFile = async (path, data, ...more) => {
    await appendFile(path, data, ...more);
    if (!isOurs(path)) return;
    record({ change: 'touch', path });
    record({ change: 'append', path, data: base64(data) });
  };
  const watch = (name, original, change) => {
    fsp[name] = async (path, ...more) => {
      const result = await original(path, ...more);
      if (isOurs(path)) record(change(path, ...more));
      return result;
    };
  };
  watch('rename', rename, (path, to) => ({ change: 'rename', path, to }));
  watch('mkdir', mkdir, (path) => ({ change: 'mkdir', path }));
  watch('rm', rm, (path) => ({ change: 'remove', path }));
  watch('rmdir', rmdir, (path) => ({ change: 'remove', path }));
  watch('link', link, (path, to) => ({ change: 'link', path, to }));
  watch('copyFile', copyFile, (path, to) => ({ change: 'link', path, to }));
  syncBuiltinESMExports();
  const send = process.send.bind(process);
  process.send = (message, sent) => {
    if (message?.event?.kind === 'checkpoint') record({ change: 'told', step: message.event.step });
    if (message?.kind === 'done') record({ change: 'done' });
    return send(message, sent);
  };
}
