import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { FileLock, tryLock, type LockHolder } from '../../src-main/engine/lock.ts';
import { identityOf, ownIdentity, stateOf } from '../../src-main/engine/process-identity.ts';
import { RunLock } from '../../src-main/trainer/run-lock.ts';
import { startTrainer } from '../../src-main/trainer/supervisor.ts';
import { inEnvironment, trainerAt } from '../support/trainer-moment.ts';
import { resultOf, smallRun, temporary } from './support.ts';

const work = temporary('run-lock');

/** A process that does nothing until it is killed. */
async function idle() {
  const child = spawn(process.execPath, ['-e', 'console.log(1); setInterval(() => {}, 1e6)']);
  await once(child.stdout, 'data');
  const identity = identityOf(child.pid!)!;
  return {
    identity,
    async kill() {
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

/** A folder whose lock that holder has. */
function lockedBy(name: string, holder: Omit<LockHolder, 'token'>): string {
  const folder = path.join(work, name);
  fs.mkdirSync(folder);
  fs.writeFileSync(path.join(folder, 'run.lock'), JSON.stringify({ token: 'theirs', ...holder }));
  return folder;
}

describe('the lock of a run’s folder', () => {
  it('tells a process from another one that has got its id', async () => {
    const { identity, kill } = await idle();
    expect(stateOf(identity)).toBe('alive');
    expect(stateOf({ ...identity, started: '1' })).toBe('gone');
    expect(stateOf({ ...identity, boot: 'another' })).toBe('gone');
    expect(stateOf({ ...identity, host: 'another' })).toBe('elsewhere');
    await kill();
    expect(stateOf(identity)).toBe('gone');
  });

  it('is given to one only, whoever else asks at the same time, and to the next after it', async () => {
    const file = path.join(work, 'many.lock');
    fs.writeFileSync(file, JSON.stringify({ ...ownIdentity(), started: 'of a process long gone', token: 'old' }));
    const all = await Promise.all(Array.from({ length: 20 }, () => tryLock(file)));
    const [holder, ...others] = all.filter((lock) => lock instanceof FileLock);
    expect(others).toEqual([]);
    expect(await holder!.isHeld()).toBe(true);
    await holder!.release();
    expect(await tryLock(file)).toBeInstanceOf(FileLock);
    expect(fs.readdirSync(work).filter((name) => name.startsWith('many.lock'))).toEqual(['many.lock']);
  });

  it('is refused in a sentence while its holder lives, here or on another machine', async () => {
    const { identity, kill } = await idle();
    const here = lockedBy('here', { ...identity, parent: ownIdentity() });
    await expect(RunLock.take(here)).rejects.toThrow(`another process (${identity.pid})`);
    const there = lockedBy('there', { ...identity, host: 'attic' });
    await expect(RunLock.take(there)).rejects.toThrow(/on another machine, attic .*delete .*run\.lock/);
    await kill();
    await (await RunLock.take(here)).release();
    expect(fs.existsSync(path.join(here, 'run.lock'))).toBe(false);
  });

  it('is waited for where its holder has lost its parent and is about to end', async () => {
    const [parent, orphan] = [await idle(), await idle()];
    await parent.kill();
    const folder = lockedBy('orphan', { ...orphan.identity, parent: parent.identity });
    const said: string[] = [];
    let taken = false;
    const taking = RunLock.take(folder, (sentence) => said.push(sentence)).then((lock) => {
      taken = true;
      return lock;
    });
    await expect.poll(() => said).toEqual([expect.stringContaining(`process ${orphan.identity.pid}`)]);
    await wait(500);
    expect(taken).toBe(false);
    await orphan.kill();
    await (await taking).release();
    expect(said).toHaveLength(1);
  });

  it('lets two trainers at one run only one after the other, and the run ends as if there had been one', async () => {
    const recipe = smallRun(work);
    const whole = path.join(work, 'whole');
    await startTrainer({ recipe, folder: whole, resume: false }).ended;
    const folder = path.join(work, 'contended');
    const held = trainerAt({ kind: 'metrics', step: 8 }, 'SIGSTOP');
    const first = inEnvironment(held.env, () => startTrainer({ recipe, folder, resume: false }));
    await held.standing();
    expect(await startTrainer({ recipe, folder, resume: true }).ended).toMatchObject({
      outcome: 'failed',
      forPeople: true,
      message: expect.stringMatching(/another process .*would spoil its run/) as string,
    });
    await held.goOn();
    expect(await first.ended).toMatchObject({ outcome: 'finished' });
    expect(resultOf(folder)).toEqual(resultOf(whole));
    expect(fs.existsSync(path.join(folder, 'run.lock'))).toBe(false);
  });

  it('once lost, ends the trainer at its next step without another write', async () => {
    const recipe = smallRun(work);
    const folder = path.join(work, 'lost');
    const held = trainerAt({ kind: 'metrics', step: 8 }, 'SIGSTOP');
    const trainer = inEnvironment(held.env, () => startTrainer({ recipe, folder, resume: false }));
    await held.standing();
    // As another machine would have it, which took this one for gone.
    fs.writeFileSync(
      path.join(folder, 'run.lock'),
      JSON.stringify({ ...ownIdentity(), host: 'attic', token: 'theirs' }),
    );
    const files = () => fs.readdirSync(folder, { recursive: true }).sort();
    const before = { files: files(), metrics: fs.readFileSync(path.join(folder, 'metrics.jsonl'), 'utf8') };
    await held.goOn();
    expect(await trainer.ended).toMatchObject({
      outcome: 'failed',
      message: expect.stringMatching(/took .* over/) as string,
    });
    expect({ files: files(), metrics: fs.readFileSync(path.join(folder, 'metrics.jsonl'), 'utf8') }).toEqual(before);
  });
});
