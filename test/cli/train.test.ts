import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { trainerAt } from '../support/trainer-moment.ts';
import { resultOf, smallRun, temporary } from '../trainer/support.ts';
import { bin, cli, cliJson, readJsonLines, start, startCli } from './support.ts';

const work = temporary('cli-train');
const recipe = smallRun(work, { training: { steps: 60, evalEvery: 20, checkpointEvery: 10 } });
const folder = (name: string) => path.join(work, name);
/** A trainer that stands still at a step, so that a signal meets the run under way. */
const standingAt = (step: number) => trainerAt({ kind: 'metrics', step }, 'SIGSTOP');

describe('effilora train', () => {
  beforeAll(async () => {
    const { code, stdout, stderr } = await cli(['train', recipe, '--out', folder('whole')]);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(stdout).toMatch(/Done: 60 steps in .*, loss \d.*held-out loss \d.*21 of 42 heads frozen/);
    expect(stderr).toMatch(/\[#{16}\.{8}\] 40\/60 · \d+ s left · loss \d/);
  });

  it('writes adapter, telemetry, and the complete recipe, which reproduces the run', async () => {
    const names = ['adapter.json', 'adapter.safetensors', 'checkpoints', 'heads.jsonl', 'metrics.jsonl', 'recipe.yaml'];
    expect(fs.readdirSync(folder('whole'))).toEqual(expect.arrayContaining(names));
    expect((await cli(['train', path.join(folder('whole'), 'recipe.yaml'), '--out', folder('again')])).code).toBe(0);
    expect(resultOf(folder('again'))).toEqual(resultOf(folder('whole')));
  });

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)(
    '%s writes a checkpoint, says how to go on, and exits with %i; resumed it ends as if never ended',
    async (signal, code) => {
      const out = folder(signal);
      const trainer = standingAt(15);
      const run = startCli(['train', recipe, '--out', out, '--json'], { env: trainer.env });
      await trainer.standing();
      run.child.kill(signal);
      await run.wrote(/Writing a checkpoint/);
      await trainer.goOn();
      const ended = await run.ended;
      expect(ended).toMatchObject({
        code,
        stderr: expect.stringMatching(/Go on with: effilora train .* --resume/) as string,
      });
      const done = readJsonLines<{ step: number }>(path.join(out, 'metrics.jsonl')).at(-1)!.step;
      expect(done).toBeLessThan(60);
      // The very step it ended at, not the last regular checkpoint.
      expect(fs.readdirSync(path.join(out, 'checkpoints'))).toContain(`step-${String(done).padStart(8, '0')}`);
      expect(await cli(['train', out, '--resume'])).toMatchObject({ code: 0 });
      expect(resultOf(out)).toEqual(resultOf(folder('whole')));
    },
  );

  it('a second Ctrl-C ends it at once, and the last checkpoint is there to go on from', async () => {
    const out = folder('twice');
    const trainer = standingAt(22);
    const run = startCli(['train', recipe, '--out', out, '--json'], { env: trainer.env });
    await trainer.standing();
    run.child.kill('SIGINT');
    await run.wrote(/Ctrl-C again/);
    run.child.kill('SIGINT');
    expect(await run.ended).toMatchObject({ code: 130 });
    expect(await cli(['train', recipe, '--out', out, '--resume'])).toMatchObject({ code: 0 });
    expect(resultOf(out)).toEqual(resultOf(folder('whole')));
  });

  const hasScript = spawnSync('script', ['--version']).status === 0;
  it.skipIf(!hasScript)(
    'in a terminal (needs `script`) shows one line that changes, and Ctrl-C typed there is the same',
    async () => {
      const out = folder('terminal');
      const command = `${process.execPath} ${bin} train ${recipe} --out ${out}`;
      const trainer = standingAt(8);
      const run = start('script', ['--quiet', '--return', '--flush', '--command', command, '/dev/null'], {
        env: { ...trainer.env, TERM: 'xterm', COLUMNS: '200' },
      });
      await run.wrote(/\r\x1b\[K\[#+\.+\] 8\/60/);
      await trainer.standing();
      run.child.stdin!.write('\x03');
      await run.wrote(/Writing a checkpoint/);
      await trainer.goOn();
      expect(await run.ended).toMatchObject({ code: 130 });
      expect(await cli(['train', out, '--resume'])).toMatchObject({ code: 0 });
      expect(resultOf(out)).toEqual(resultOf(folder('whole')));
    },
  );

  it('killed with SIGKILL itself, its trainer writes a checkpoint and ends', async () => {
    const out = folder('orphan');
    const trainer = standingAt(14);
    const run = startCli(['train', recipe, '--out', out, '--json'], { env: trainer.env });
    await trainer.standing();
    run.child.kill('SIGKILL');
    await run.ended;
    await trainer.goOn();
    await trainer.gone();
    // The very step it ended at has a checkpoint.
    const { step } = readJsonLines<{ step: number }>(path.join(out, 'metrics.jsonl')).at(-1)!;
    expect(step).toBeLessThan(60);
    expect(fs.readdirSync(path.join(out, 'checkpoints'))).toContain(`step-${String(step).padStart(8, '0')}`);
    expect(await cli(['train', out, '--resume'])).toMatchObject({ code: 0 });
    expect(resultOf(out)).toEqual(resultOf(folder('whole')));
  });

  it('with --json tells every step and ends with the summary', async () => {
    const short = temporary('cli-train-json');
    const small = smallRun(short, { training: { steps: 6 } });
    const { stdout } = await cli(['train', small, '--out', path.join(short, 'run'), '--json']);
    const events = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { kind: string; line?: object });
    const metrics = events.filter(({ kind }) => kind === 'metrics').map(({ line }) => line);
    expect(metrics).toEqual(readJsonLines(path.join(short, 'run', 'metrics.jsonl')));
    expect(events.at(-1)).toMatchObject({ kind: 'done', summary: { reason: 'finished', step: 6, steps: 6 } });
  });

  it.each([
    ['a folder that holds a run', () => [recipe, '--out', folder('whole')], /holds a run already; add --resume/],
    ['a run that is not there', () => [folder('nothing'), '--resume'], /nothing holds no run to go on with/],
    ['a recipe that is not there', () => [folder('no.yaml')], /The recipe ".*no\.yaml" is not there/],
    ['a folder for a recipe', () => [folder('whole')], /is a folder; give a recipe, or add --resume/],
  ])('refuses %s', async (_, args, message) => {
    const before = fs.readdirSync(work).sort();
    const { code, stderr } = await cli(['train', ...args()]);
    expect({ code, stderr: stderr.trim() }).toEqual({ code: 2, stderr: expect.stringMatching(message) as string });
    expect(fs.readdirSync(work).sort()).toEqual(before);
  });

  it('evaluates, inspects and drops from what it wrote', async () => {
    const dataset = path.join(work, 'data.jsonl');
    const model = (
      JSON.parse(fs.readFileSync(path.join(folder('whole'), 'adapter.json'), 'utf8')) as { recipe: { model: string } }
    ).recipe.model;
    const measure = (args: string[]) =>
      cliJson<{ loss: number }>(['eval', '--model', model, '--dataset', dataset, ...args]);
    const base = await measure([]);
    const tuned = await measure(['--adapter', folder('whole')]);
    expect(tuned.loss).toBeLessThan(base.loss - 1);
    type Inspected = {
      heads: object[];
      whole: { loss: number };
      drop: { ratio: number; dropped: number; loss: number }[];
    };
    const args = ['inspect', folder('whole'), '--drop', '0.1,0.5,1', '--dataset', dataset];
    const inspected = await cliJson<Inspected>(args);
    expect(inspected.heads).toHaveLength(42);
    expect(inspected.drop.map(({ dropped }) => dropped)).toEqual([4, 21, 42]);
    expect(inspected.whole.loss).toBeCloseTo(tuned.loss, 6);
    // Without any head it is the base model.
    expect(inspected.drop[2]!.loss).toBeCloseTo(base.loss, 5);
    expect(inspected.drop[0]!.loss).toBeLessThan(inspected.drop[2]!.loss);
    const { stdout } = await cli(['inspect', folder('whole')]);
    expect(stdout.match(/^ +[01] +\w+_proj( +\d\.\de-\d \d+%( \*\d+)?){3}$/gm)).toHaveLength(14);
  });
});
