import { gpusHere } from './devices/here.ts';
import { portableStatus } from './devices/portable.ts';
import { tensorflowStatus, tryingHere, webgpuStatus, type Trying } from './devices/status.ts';
import { startEngine } from './start.ts';
import { UserError, type EngineName, type EngineStatus } from './types.ts';

/** Every engine on this machine, as `inOrder`. One that was not yet tried on the GPU of this machine is tried first, in a process of its own. */
export async function listEngines(trying: Trying = tryingHere()): Promise<EngineStatus[]> {
  const [tensorflow, webgpu] = await Promise.all([tensorflowStatus(trying), webgpuStatus(trying)]);
  return inOrder(tensorflow, webgpu);
}

/** As `auto` prefers them: CUDA TensorFlow, webgpu on a GPU, then what runs on CPUs. */
export function inOrder(tensorflow: EngineStatus, webgpu: EngineStatus): EngineStatus[] {
  const gpus = [tensorflow, webgpu].filter(({ kind }) => kind === 'gpu');
  const rest = [tensorflow, portableStatus('wasm'), portableStatus('cpu'), webgpu];
  return [...gpus, ...rest.filter((engine) => !gpus.includes(engine))];
}

/** Bytes that a model takes of an engine's memory. */
export type Held = (engine: Pick<EngineStatus, 'name' | 'kind'>) => number;

/**
 * Which engine `auto` takes, and why: the first that is available and holds the model.
 * @param held by the model that it is for; missing: none in particular
 */
export async function chooseEngine(held?: Held): Promise<EngineStatus> {
  return chosenOf(await listEngines(), held);
}

/** The same of engines that are known. On processors a model that is too large is for the plan to say. */
export function chosenOf(engines: EngineStatus[], held?: Held): EngineStatus {
  const holds = (engine: EngineStatus) => engine.kind === 'cpu' || !held || held(engine) <= engine.memoryBytes;
  const chosen = engines.find((engine) => engine.available && holds(engine))!;
  const passed = engines.slice(0, engines.indexOf(chosen)).map((engine) => {
    const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;
    const small = engine.available && held ? `the model takes ${gigabytes(held(engine))} there, and ${engine.device} has ${gigabytes(engine.memoryBytes)}` : engine.reason; // prettier-ignore
    return `${engine.name}: ${small}`;
  });
  return { ...chosen, reason: [`Chosen as the first that is available. ${chosen.reason}`, ...passed].join('. ') };
}

/**
 * Makes an engine tfjs's backend for this process.
 * @param held by the model that it is for, which auto heeds
 * @throws UserError when it is not available here, or would not run where it says
 */
export async function openEngine(choice: EngineName | 'auto', held?: Held): Promise<EngineStatus> {
  const status = choice === 'auto' ? await chooseEngine(held) : (await listEngines()).find((e) => e.name === choice);
  if (!status)
    throw new UserError(`The engine "${choice}" does not exist here; choose tensorflow, webgpu, wasm or cpu`);
  if (!status.available) throw new UserError(`The engine ${status.name} can't be used: ${status.reason}`);
  const gpu = status.kind === 'gpu';
  const uuid = gpu ? (await gpusHere()).find(({ name }) => name === status.device)?.uuid : undefined;
  const { onGpu, version } = await startEngine(status.name, { gpu, uuid });
  if (gpu && !onGpu)
    throw new UserError(
      `The engine ${status.name} started on the processor, although ${status.device} is here and was proven before; another program may hold it. Try again, or choose another engine`,
    );
  if (version !== undefined) status.versions.tensorflow = version;
  return status;
}
