// Our side of bench:generation, in a process of its own.
import { createInterface } from 'node:readline';
import { openEngine } from '../../src-main/engine/index.ts';
import type { WrittenIn } from '../../src-main/engine/products.ts';
import { loadCausalLM } from '../../src-main/models/causal-lm.ts';
import { generate } from '../../src-main/models/generate.ts';
import { openTextModel } from '../../src-main/models/open.ts';
import { PROMPT } from './prompt.ts';

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const told = JSON.parse((await lines.next()).value as string) as { file: string; threads: number; products: WrittenIn };
const { file: path, threads, products } = told;
process.env.OMP_NUM_THREADS = String(threads);
await openEngine('tensorflow');
const file = await openTextModel(path);
const model = await loadCausalLM(file);
const prompt = file.tokenizer!.encode(PROMPT);

for await (const line of lines) {
  const begun = performance.now();
  let first = 0;
  let processor = process.cpuUsage();
  const maxTokens = Number(line.split(' ')[1]) + 1;
  for await (const token of generate(model, prompt, { maxTokens, stop: [], products })) {
    if (first === 0 && token) {
      first = performance.now();
      processor = process.cpuUsage();
    }
  }
  const { user, system } = process.cpuUsage(processor);
  const answer = {
    processorSeconds: (user + system) / 1e6,
    seconds: (performance.now() - first) / 1000,
    promptSeconds: (first - begun) / 1000,
    peakBytes: process.resourceUsage().maxRSS * 1024,
  };
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);
