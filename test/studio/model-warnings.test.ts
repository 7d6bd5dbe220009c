import fs from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { jobs } from '../../src-main/studio/work/jobs.ts';
import { writeGgufVariant } from '../support/gguf-variant.ts';
import { cli } from '../cli/support.ts';
import { temporary } from '../trainer/support.ts';

it('what is to be known of a model is said by the library, the plan and the command line', async () => {
  const folder = temporary('model-warnings');
  const without = ['tokenizer.ggml.pre'];
  const model = await writeGgufVariant(path.join(folder, 'old.gguf'), 'llama-tied', { without });
  const said = expect.stringMatching(/names no pre-tokenizer.*convert the model anew/) as string;
  expect((await jobs.inspectModel({ reference: model })).warnings).toEqual([said]);
  const dataset = path.join(folder, 'data.jsonl');
  fs.writeFileSync(dataset, Array.from({ length: 8 }, (_, i) => `{"text":"ab${i}"}\n`).join(''));
  const planned = await cli(['plan', '--model', model, '--dataset', dataset, '--json']);
  expect(JSON.parse(planned.stdout)).toMatchObject({ warnings: expect.arrayContaining([said]) as string[] });
  const measured = await cli(['data', dataset, '--model', model]);
  expect(measured.stderr).toEqual(said);
});
