import {
  cpuName,
  forgetGpus,
  type Gpu,
  hasNvidiaDriver,
  listGpus,
  portableStatus,
  type Target,
} from '../../engine/devices.ts';
import os from 'node:os';
import type { CheckEvent, EngineReport, MachineReport } from '../../../src-preload/contract/doctor.ts';
import { DEFAULT_MODEL, isPackagedModelThere, packagedModelPath } from '../../models/default-model.ts';
import { adviceFor } from './advice.ts';
import { examineEngine, PARTS, type Examining } from './examine-engine.ts';
import { reportText } from './report.ts';
import { tryOut } from './trial.ts';

/** A driver says what devices it has within seconds, or not at all. */
const TARGETS_LIMIT_MS = 60_000;

export interface Examination extends Pick<Examining, 'launch' | 'signal' | 'limits'> {
  /** other work that goes on meanwhile, as a sentence */
  beside?: string;
}

/**
 * Checks this machine: each engine on each device that it may run on, one after the other, everything of a driver's in a process of its
 * own. Whether a GPU passed is kept, as when engines are listed. Ended by its signal it leaves nothing behind, and has no last event.
 */
export async function* examine({ beside, ...how }: Examination): AsyncGenerator<CheckEvent> {
  const begun = performance.now();
  const { signal } = how;
  yield { kind: 'doing', what: 'Looking for GPUs and engines', done: 0, total: 1 };
  forgetGpus();
  const [gpus, targets] = await Promise.all([listGpus(), allTargets(how)]);
  const model = isPackagedModelThere(DEFAULT_MODEL) ? packagedModelPath(DEFAULT_MODEL) : undefined;
  const engines: EngineReport[] = [];
  for (const [index, target] of targets.entries()) {
    for await (const event of told(target, index, targets.length, { ...how, model })) {
      if (signal?.aborted) return;
      if (event.kind === 'engine') engines.push(event.engine);
      yield event;
    }
  }
  const found = { ...machine(gpus), model: DEFAULT_MODEL.title, engines, chosen: chosenOf(engines) };
  const advice = adviceFor({ ...found, beside, nvidiaDriver: hasNvidiaDriver() });
  const seconds = (performance.now() - begun) / 1000;
  const report: MachineReport = { node: process.version, ...found, advice, seconds };
  yield { kind: 'done', report, text: reportText(report) };
}

/** What is done with one engine, as it begins, and then what came of it. */
async function* told(target: Target, index: number, count: number, how: Examining): AsyncGenerator<CheckEvent> {
  const events: CheckEvent[] = [];
  let wake = () => {};
  const tell = (event: CheckEvent) => (events.push(event), wake());
  const total = count * PARTS.length;
  const name = `${target.engine}${target.device === 'none' ? '' : ` on ${target.device}`}`;
  const examined = examineEngine(target, how, (part) =>
    tell({ kind: 'doing', what: `${part} ${name}`, done: index * PARTS.length + PARTS.indexOf(part), total }),
  ).then((engine) => (tell({ kind: 'engine', engine }), engine));
  let isDone = false;
  const ended = examined.finally(() => ((isDone = true), wake()));
  ended.catch(() => undefined);
  while (!isDone || events.length > 0) {
    const event = events.shift();
    if (event) yield event;
    else await new Promise<void>((resolve) => (wake = resolve));
  }
  await ended;
}

/** In the order in which auto prefers them: GPUs first, TensorFlow before WebGPU. */
async function allTargets(how: Pick<Examining, 'launch' | 'signal'>): Promise<Target[]> {
  const asked = await Promise.all((['tensorflow', 'webgpu'] as const).map((engine) => targetsOf(engine, how)));
  const [tensorflow, webgpu] = asked as [Target[], Target[]];
  const gpus = [...tensorflow, ...webgpu].filter(({ kind }) => kind === 'gpu');
  const rest = [...tensorflow, portableTarget('wasm'), portableTarget('cpu'), ...webgpu];
  return [...gpus, ...rest.filter(({ kind }) => kind !== 'gpu')];
}

async function targetsOf(
  engine: 'tensorflow' | 'webgpu',
  how: Pick<Examining, 'launch' | 'signal'>,
): Promise<Target[]> {
  const { found, failure } = await tryOut({ what: 'targets', engine }, TARGETS_LIMIT_MS, how);
  if (found) return found;
  return [{ engine, device: 'none', kind: 'cpu', software: false, memoryBytes: 0, versions: {}, ask: failure! }];
}

function portableTarget(engine: 'wasm' | 'cpu'): Target {
  const { device, kind, memoryBytes, versions } = portableStatus(engine);
  return { engine, device, kind, software: false, memoryBytes, versions, ask: { engine, gpu: false } };
}

const chosenOf = (engines: EngineReport[]) => engines.find(({ probe }) => probe.passed)?.name ?? null;

function machine(gpus: Gpu[]): Pick<MachineReport, 'platform' | 'processor' | 'cores' | 'memoryBytes' | 'gpus'> {
  return {
    ...{ platform: `${os.platform()} ${os.release()} ${os.arch()}`, processor: cpuName() },
    ...{ cores: os.availableParallelism(), memoryBytes: os.totalmem() },
    gpus: gpus.map(({ name, vendor, memoryBytes, freeBytes, driver, computeCapability }) => ({
      ...{ name, vendor, memoryBytes, freeBytes, driver, computeCapability },
    })),
  };
}
