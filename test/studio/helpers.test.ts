import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { Child, Launch } from '../../src-main/engine/child.ts';
import { forked } from '../../src-main/engine/child.ts';
import { Stage } from '../../src-main/studio/stage/stage.ts';
import type { GenerateEvent } from '../../src-main/studio/stage/types.ts';
import { Worker } from '../../src-main/studio/work/worker.ts';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';
import { scratchFolder } from '../support/scratch.ts';

const scratch = scratchFolder();
afterAll(() => scratch.remove());
const rows = join(scratch.folder, 'rows.jsonl');
writeFileSync(rows, '{"instruction":"Say hello.","output":"Hello."}\n');

/** Starts real processes and keeps them. */
function kept(entry?: string) {
  const children: Child[] = [];
  const launch: Launch = (own, options) => {
    const child = forked(entry ?? own, options);
    children.push(child);
    return child;
  };
  return { children, launch, kill: () => children.at(-1)!.kill('SIGKILL') };
}

describe('a helper process that is killed', () => {
  const model = writeTinyChatModel(join(scratch.folder, 'model'), { endless: true });
  const answer = (maxTokens: number) => ({
    ...{ model, engine: 'cpu' as const, columns: [{ messages: [{ role: 'user' as const, content: 'Hi' }] }] },
    sampling: { maxTokens, temperature: 0, topP: 1, topK: 0, seed: 0, alternatives: 0 },
  });

  it('takes the answer that was going with it, and those that waited come from the next process', async () => {
    const { children, launch, kill } = kept();
    const stage = new Stage(launch);
    const heard = async (maxTokens: number, onEvent: (event: GenerateEvent) => void = () => {}) => {
      const kinds: string[] = [];
      for await (const event of stage.run('generate', answer(maxTokens))) {
        kinds.push(event.kind);
        onEvent(event);
      }
      return kinds;
    };
    const going = heard(100_000, ({ kind }) => kind === 'token' && kill());
    const behind = [heard(2), heard(3)];
    await expect(going).rejects.toThrow(/The process that runs the model ended \(SIGKILL\) in the middle of this/);
    for (const kinds of await Promise.all(behind)) expect(kinds).toContain('done');
    // Asked in the moment in which nobody has heard yet that it was killed.
    kill();
    expect(await heard(2)).toContain('done');
    expect(children).toHaveLength(3);
    stage.close();
  });

  it('costs no job that it had not begun', async () => {
    const { children, launch, kill } = kept();
    const worker = new Worker(launch);
    const asked = [worker.call('columns', { path: rows }), worker.call('columns', { path: rows })];
    kill();
    const [first, second] = await Promise.all(asked);
    expect(first).toEqual(second);
    kill();
    expect(await worker.call('columns', { path: rows })).toEqual(first);
    expect(children).toHaveLength(3);
    worker.close();
  });

  it('is not started again and again for a job that none comes to begin', async () => {
    const broken = join(scratch.folder, 'broken.mjs');
    writeFileSync(broken, 'process.exit(3);\n');
    const [first, second] = [kept(broken), kept(broken)];
    const worker = new Worker(first.launch);
    await expect(worker.call('columns', { path: rows })).rejects.toThrow(/helper process ended \(code 3\)/);
    const stage = new Stage(second.launch);
    await expect(stage.run('generate', answer(1)).next()).rejects.toThrow(/runs the model ended \(code 3\)/);
    expect([first.children.length, second.children.length]).toEqual([2, 2]);
  });
});
