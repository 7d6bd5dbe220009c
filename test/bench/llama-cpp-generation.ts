// llama.cpp's side of bench:generation, in a process of its own.
import { createInterface } from 'node:readline';
import { getLlama } from 'node-llama-cpp';
import { PROMPT } from './prompt.ts';

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { file, threads } = JSON.parse((await lines.next()).value as string) as { file: string; threads: number };
const llama = await getLlama({
  gpu: false,
  build: 'never',
  progressLogs: false,
  maxThreads: threads,
  logLevel: 'error' as never,
});
const model = await llama.loadModel({ modelPath: file });
const context = await model.createContext({ contextSize: 1024, threads });
const prompt = model.tokenize(PROMPT, true);

for await (const line of lines) {
  const sequence = context.getSequence();
  const begun = performance.now();
  let first = 0;
  let processor = process.cpuUsage();
  let left = Number(line.split(' ')[1]) + 1;
  for await (const token of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
    if (first === 0 && token !== undefined) {
      first = performance.now();
      processor = process.cpuUsage();
    }
    if (--left === 0) break;
  }
  const { user, system } = process.cpuUsage(processor);
  const answer = {
    processorSeconds: (user + system) / 1e6,
    seconds: (performance.now() - first) / 1000,
    promptSeconds: (first - begun) / 1000,
    peakBytes: process.resourceUsage().maxRSS * 1024,
  };
  sequence.dispose();
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);
