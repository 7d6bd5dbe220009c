/** What is asked about the GPUs of this machine, and of engines on them, from outside. */
export { askProcess } from './devices/ask-process.ts';
export { amdGpus, hasNvidiaDriver, listGpus, nvidiaGpus, type Gpu } from './devices/gpus.ts';
export { forgetGpus } from './devices/here.ts';
export { cpuName, portableStatus } from './devices/portable.ts';
export { probe, probeAsked, type ProbeAsked } from './devices/probe.ts';
export { keepProof } from './devices/proof.ts';
export { tensorflowTargets, webgpuTarget, type Target } from './devices/targets.ts';
