import { fork } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { utility } from '../../src-main/electron/utility.ts';
import { Stage } from '../../src-main/studio/stage/stage.ts';
import { Worker } from '../../src-main/studio/work/worker.ts';
import { startTrainer } from '../../src-main/trainer/supervisor.ts';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';
import { scratchFolder } from '../support/scratch.ts';
import { smallRun } from '../trainer/support.ts';

/** What Electron gives a utility process in place of Node's channel: messages wait until somebody listens. */
const PARENT_PORT = `
  import { EventEmitter } from 'node:events';
  const port = new EventEmitter();
  const send = process.send.bind(process);
  const early = [];
  const take = (data) => port.emit('message', { data });
  process.on('message', (data) => (port.listenerCount('message') ? take(data) : early.push(data)));
  port.on('newListener', () => queueMicrotask(() => early.splice(0).forEach(take)));
  port.postMessage = (message) => void send(message);
  process.parentPort = port;
  process.send = undefined;
`;

/** Electron's utilityProcess (electronjs.org/docs/latest/api/utility-process), as a process of Node's: real ones all the same. */
vi.mock('electron', () => ({
  utilityProcess: {
    fork(entry: string, _args: string[], { stdio }: { stdio: string[] | string }) {
      const shim = `data:text/javascript,${encodeURIComponent(PARENT_PORT)}`;
      const child = fork(entry, {
        execArgv: ['--import', 'tsx', '--import', shim],
        serialization: 'advanced',
        stdio: typeof stdio === 'string' ? ['ignore', 'inherit', 'inherit', 'ipc'] : ([...stdio, 'ipc'] as never),
      });
      const events = new EventEmitter();
      child.on('message', (message) => events.emit('message', message));
      child.on('close', (code, signal) => events.emit('exit', signal ? 9 : code));
      return Object.assign(events, {
        pid: child.pid,
        stderr: child.stderr,
        postMessage: (message: object) => child.connected && child.send(message),
        kill: () => child.kill(),
      });
    },
  },
}));

describe('our processes as Electron’s utility processes', () => {
  const scratch = scratchFolder();
  afterAll(() => scratch.remove());

  it('trains a run to its end', async () => {
    const recipe = smallRun(scratch.folder, { training: { steps: 3, warmupSteps: 0 } });
    const folder = join(scratch.folder, 'run');
    const kinds = new Set<string>();
    const onEvent = ({ kind }: { kind: string }) => kinds.add(kind);
    const trainer = startTrainer({ recipe, folder, resume: false, launch: utility, onEvent });
    expect(await trainer.ended).toMatchObject({ outcome: 'finished', summary: { step: 3 } });
    expect([...kinds]).toEqual(expect.arrayContaining(['started', 'metrics']));
    expect(existsSync(join(folder, 'adapter.safetensors'))).toBe(true);
  });

  it('says that a trainer is gone, and after which step', async () => {
    const recipe = smallRun(scratch.folder, { training: { steps: 10_000, warmupSteps: 0 } });
    const folder = join(scratch.folder, 'killed');
    const trainer = startTrainer({
      ...{ recipe, folder, resume: false, launch: utility },
      onEvent: (event) => event.kind === 'metrics' && process.kill(trainer.processId!, 'SIGKILL'),
    });
    const end = await trainer.ended;
    expect(end).toMatchObject({ outcome: 'failed' });
    expect(end.outcome === 'failed' && end.message).toMatch(/ended with code 9 after step \d+\..*--resume/);
  });

  it('asks the helper, and generates on the stage', async () => {
    const worker = new Worker(utility);
    const engines = await worker.call('engines', { refresh: false });
    expect(engines.map(({ name }) => name)).toEqual(expect.arrayContaining(['tensorflow', 'wasm', 'cpu']));
    worker.close();
    const stage = new Stage(utility);
    const model = writeTinyChatModel(join(scratch.folder, 'tiny-chat'));
    const sampling = { maxTokens: 2, temperature: 0, topP: 1, topK: 0, seed: 0, alternatives: 0 };
    const messages = [{ role: 'user' as const, content: 'Hello' }];
    const told: string[] = [];
    for await (const { kind } of stage.run('generate', { model, engine: 'cpu', columns: [{ messages }], sampling }))
      told.push(kind);
    stage.close();
    expect(told).toEqual(['loading', 'ready', 'token', 'token', 'done']);
  });
});
