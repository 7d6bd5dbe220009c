import { openPort } from '../port.ts';
import { startEngine } from '../start.ts';
import { probeAsked, type ProbeAnswer, type ProbeAsked } from './probe.ts';
import { isRight, largestError } from './right-numbers.ts';

/** Tries one engine, says what came of it, and ends. */
const port = openPort<ProbeAnswer>();
port.onClose(() => process.exit(0));
port.onMessage((message) => {
  const asked = probeAsked.safeParse(message);
  if (asked.success) void tried(asked.data).then((answer) => port.send(answer)).then(() => port.end()); // prettier-ignore
});

async function tried(asked: ProbeAsked): Promise<ProbeAnswer> {
  try {
    const { onGpu } = await startEngine(asked.engine, asked);
    if (asked.gpu && !onGpu)
      return { passed: false, reason: 'It started, but on the processor: it does not see the GPU' };
    const error = await largestError();
    if (!isRight(error))
      return { passed: false, reason: `It computes wrong numbers (off by ${error.toPrecision(2)} of the largest)` };
    return { passed: true, reason: 'A product, a softmax and a gradient came out right on it' };
  } catch (error) {
    const [line] = (error instanceof Error ? error.message : String(error)).split('\n');
    return { passed: false, reason: `It failed when it was tried: ${line!.slice(0, 500)}` };
  }
}
