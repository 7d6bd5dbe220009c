import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openEngine } from '../../src-main/engine/index.ts';
import { exportData } from '../../src-main/exports/data.ts';
import { narrowForms, wideForms } from '../../src-main/exports/forms.ts';
import { openBaseModel, openForExport, readForExport } from '../../src-main/exports/open-export.ts';
import { Progress } from '../../src-main/exports/progress.ts';
import type { ExportProgress } from '../../src-main/exports/request.ts';
import { Stage } from '../../src-main/studio/stage/stage.ts';
import type { ExportEvent } from '../../src-main/studio/stage/types.ts';
import { TINY_MODEL, temporary, writeTokens } from '../trainer/support.ts';
import { writeRandomAdapter } from './support.ts';

const folder = temporary('export-job');
const at = (name: string) => path.join(folder, name);
let adapter: string;

beforeAll(async () => {
  await openEngine('cpu');
  const recipe = { dataset: writeTokens(at('tokens.jsonl')), training: { evalSplit: 8 } };
  adapter = await writeRandomAdapter(at('adapter'), TINY_MODEL, {}, undefined, recipe);
});
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

describe('an export in the process that runs models', () => {
  const stage = new Stage();
  afterAll(() => stage.close());

  it('tells how far it is and gives its report; leaving it leaves no files', async () => {
    const request = { adapter, to: 'peft' as const, engine: 'cpu' as const };
    const events: ExportEvent[] = [];
    for await (const event of stage.run('export', { ...request, out: at('whole') })) events.push(event);
    const stages = events.map((event) => (event.kind === 'progress' ? event.progress.stage : event.kind));
    expect([...new Set(stages)]).toEqual(expect.arrayContaining(['opening', 'calibrating', 'measuring', 'writing']));
    expect(events.at(-1)).toMatchObject({ kind: 'exported', result: { fidelity: { form: 'rank-r', rank: 4 } } });
    // Many examples: it is still calibrating when it hears that it was left.
    const calibrate = writeTokens(at('many.jsonl'), 300);
    const before = fs.readdirSync(folder);
    for await (const event of stage.run('export', { ...request, calibrate, out: at('left') }))
      if (event.kind === 'progress' && event.progress.stage === 'calibrating') break;
    // the next job starts when the one that was left has ended
    await expect(stage.run('export', { ...request, out: at('whole') }).next()).rejects.toThrow(/holds files already/);
    expect(fs.readdirSync(folder)).toEqual(before);
  });
});

it.each([
  ['rank-r', narrowForms],
  ['rank-nr', wideForms],
])('a wish to stop gets in between two batches of a calibration (%s)', async (_, forms) => {
  const stored = await readForExport({ adapter });
  const opened = await openForExport(stored, await openBaseModel(stored), {
    adapter,
    to: 'peft',
    out: '',
    engine: 'cpu',
  });
  const data = await exportData(opened.file, stored.description);
  const batches = data!.calibration.slice(0, 3).map((example) => [example]);
  const stop = new AbortController();
  const seen: ExportProgress[] = [];
  const progress = new Progress((one) => {
    seen.push(one);
    // As a signal or a message comes: with the event loop's next turn.
    setImmediate(() => stop.abort());
  }, stop.signal);
  try {
    await expect(forms({ ...opened, batches, progress })).rejects.toThrow(/aborted/);
    expect(seen).toMatchObject([{ stage: 'calibrating', done: 0, total: 3 }]);
  } finally {
    await opened.close();
  }
});

describe('effilora export', () => {
  const effilora = (...args: string[]) =>
    promisify(execFile)(process.execPath, ['bin/effilora.mjs', 'export', adapter, '--engine', 'cpu', ...args]).then(
      ({ stdout }) => ({ code: 0, stdout }),
      (error: { code: number; stdout: string }) => error,
    );

  it('writes beside the adapter and prints the report as JSON', async () => {
    const { code, stdout } = await effilora('--to', 'gguf', '--drop', '0.3', '--json');
    expect(code).toBe(0);
    const result = JSON.parse(stdout) as { folder: string; files: { name: string }[]; fidelity: { gainKept: number } };
    expect(result.folder).toBe(`${adapter}-gguf`);
    const names = ['README.md', 'adapter.gguf', 'fidelity.json', 'head-map.svg'];
    expect(result.files.map(({ name }) => name)).toEqual(names);
    expect(JSON.parse(fs.readFileSync(`${adapter}-gguf/fidelity.json`, 'utf8'))).toEqual(result.fidelity);
  });

  it('ends with 2 and a sentence for what can be mended', async () => {
    const { code, stdout } = await effilora('--to', 'peft', '--calibrate', at('nowhere.jsonl'), '--json');
    expect(code).toBe(2);
    expect(JSON.parse(stdout)).toMatchObject({
      error: expect.stringMatching(/nowhere\.jsonl" is not there/) as string,
    });
  });
});
