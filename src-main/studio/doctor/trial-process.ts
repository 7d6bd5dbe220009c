import { type ProbeAsked, tensorflowTargets, webgpuTarget } from '../../engine/devices.ts';
import { openPort } from '../../engine/port.ts';
import { startEngine } from '../../engine/start.ts';
import { measureSpeeds } from './speeds.ts';
import { measureSteps } from './steps.ts';
import { trialAsked, type Findings, type TrialAsked, type TrialMessage } from './trial.ts';

/** One trial of an engine, from what is asked to its last word; then it ends. */
const port = openPort<TrialMessage>();
port.onClose(() => process.exit(0));
port.onMessage((message) => {
  const asked = trialAsked.safeParse(message);
  if (asked.success) void answer(asked.data).then(() => port.end());
});

async function answer(asked: TrialAsked): Promise<void> {
  const found = (findings: Findings[keyof Findings]) => port.send({ kind: 'found', found: findings });
  try {
    if (asked.what === 'targets')
      await found(asked.engine === 'webgpu' ? [await webgpuTarget()] : await tensorflowTargets());
    else {
      await start(asked.on);
      if (asked.what === 'speeds') await found(await measureSpeeds(asked.on.gpu, asked.slow));
      else await measureSteps(asked, (steps) => void found(steps));
    }
    await port.send({ kind: 'done' });
  } catch (error) {
    const [line] = (error instanceof Error ? error.message : String(error)).split('\n');
    await port.send({ kind: 'failed', reason: line!.slice(0, 500) });
  }
}

/** The engine on that very device, whatever auto would take. */
async function start(on: ProbeAsked): Promise<void> {
  const { onGpu } = await startEngine(on.engine, on);
  if (on.gpu && !onGpu) throw new Error('It started, but on the processor: it does not see the GPU');
}
