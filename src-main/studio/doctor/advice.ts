import type { EngineReport, MachineReport } from '../../../src-preload/contract/doctor.ts';

/** The first of NVIDIA's drivers that CUDA 12 runs on (NVIDIA, CUDA compatibility: Linux). */
const OLDEST_DRIVER = 525;
/** The newest compute capability that TensorFlow's wheel was built for. */
const NEWEST_CAPABILITY = 9;
/** An engine that is so much faster than the chosen one is worth a sentence, and memory that is so much more than planned. */
const FASTER = 1.2;
const MORE = 1.1;

/** What is known of a machine before any advice. */
export type Findings = Omit<MachineReport, 'advice' | 'seconds' | 'node'> & {
  /** a driver of NVIDIA's is loaded */
  nvidiaDriver: boolean;
  /** other work that went on meanwhile, as a sentence */
  beside?: string;
};

/** What to do on this machine: which driver to install, which engine to take. */
export function adviceFor(found: Findings): string[] {
  const beside = found.beside === undefined ? [] : [found.beside];
  return [...takes(found), ...gpuAdvice(found), ...webgpuAdvice(found), ...memoryAdvice(found), ...beside];
}

const at = (engines: EngineReport[], name: string, kind?: 'gpu' | 'cpu') =>
  engines.find((engine) => engine.name === name && (kind === undefined || engine.kind === kind));

function takes({ engines, chosen }: Findings): string[] {
  const taken = engines.find(({ name, probe }) => name === chosen && probe.passed);
  if (!taken)
    return ['No engine passed: run npm install again, and if that does not help, report it with this report.'];
  const speed = taken.tokensPerSecond;
  const reached = speed === null ? '' : `; it trains ${Math.round(speed)} tokens a second here`;
  const lines = [`Leave the engine on auto, which takes ${taken.name} on ${taken.device}${reached}.`];
  // Of steps through the whole model.
  const faster = engines.filter(
    ({ steps, tokensPerSecond }) =>
      speed !== null && steps?.blocks === null && taken.steps?.blocks === null && tokensPerSecond! > FASTER * speed,
  );
  for (const { name, tokensPerSecond } of faster)
    lines.push(
      `${name} was ${(tokensPerSecond! / speed!).toFixed(1)} times as fast in these few steps: try a run with engine: ${name}.`,
    );
  const missing = at(engines, 'tensorflow');
  if (missing && !missing.probe.passed && engines.every(({ name, probe }) => name !== 'tensorflow' || !probe.passed))
    lines.push('TensorFlow, the fast engine on processors, does not run here: npm start says what it lacks.');
  return lines;
}

/** NVIDIA's cards and their drivers. */
function gpuAdvice({ gpus, engines, nvidiaDriver, platform }: Findings): string[] {
  const card = gpus.find(({ vendor }) => vendor === 'nvidia');
  if (!card && nvidiaDriver)
    return [
      'A driver of NVIDIA’s is loaded, but shows no GPU: give the container one (docker run --gpus all), or start the machine again after an update of the driver.',
    ];
  if (!card)
    return gpus.length === 0 ? ['No GPU was found. One with a Vulkan driver makes training many times as fast.'] : [];
  if (card.driver === undefined)
    return [
      `${card.name} is here without its maker’s driver: install NVIDIA’s driver, ${OLDEST_DRIVER} or newer (Debian: nvidia-driver; Ubuntu: ubuntu-drivers install), start the machine again and check it once more.`,
    ];
  if (!platform.startsWith('linux')) return [];
  if (parseInt(card.driver) < OLDEST_DRIVER)
    return [`NVIDIA’s driver ${card.driver} is too old for CUDA 12: install ${OLDEST_DRIVER} or newer.`];
  const cuda = at(engines, 'tensorflow', 'gpu');
  if (!cuda || cuda.probe.passed) return [];
  const isNewer = parseFloat(card.computeCapability ?? '0') > NEWEST_CAPABILITY;
  const other = at(engines, 'webgpu', 'gpu')?.probe.passed ? ': take webgpu there, which passed' : '';
  return [
    isNewer
      ? `${card.name} has compute capability ${card.computeCapability}, and TensorFlow’s CUDA was built for up to ${NEWEST_CAPABILITY}.0${other}.`
      : `TensorFlow did not pass on ${card.name}${other}.`,
  ];
}

function webgpuAdvice({ gpus, engines }: Findings): string[] {
  const webgpu = at(engines, 'webgpu');
  if (!webgpu || webgpu.probe.passed || gpus.length === 0) return [];
  const makers: Record<string, string> = { nvidia: 'NVIDIA’s own driver', amd: 'mesa-vulkan-drivers', intel: 'mesa-vulkan-drivers' }; // prettier-ignore
  const brings = makers[gpus[0]!.vendor];
  return [
    `WebGPU does not run on ${gpus[0]!.name}: install or update its Vulkan driver${brings ? ` (Linux: ${brings} brings it)` : ''}.`,
  ];
}

function memoryAdvice({ engines }: Findings): string[] {
  return engines.flatMap(({ name, device, steps, predictedBytes, measuredBytes }) => {
    if (steps?.blocks !== null || predictedBytes === null || measuredBytes === null) return [];
    if (measuredBytes < MORE * predictedBytes) return [];
    const times = (measuredBytes / predictedBytes).toFixed(1);
    return [`On ${name} (${device}) the steps took ${times} times the memory that the plan predicts: leave that much room.`]; // prettier-ignore
  });
}
