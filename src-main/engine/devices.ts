/** What is asked about the GPUs of this machine, and of engines on them, from outside. */
export { amdGpus, nvidiaGpus } from './devices/gpus.ts';
export { forgetGpus } from './devices/here.ts';
export { probe } from './devices/probe.ts';
export { keepProof } from './devices/proof.ts';
