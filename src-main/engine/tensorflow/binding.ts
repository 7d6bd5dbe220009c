import { createRequire } from 'node:module';
import path from 'node:path';
import util from 'node:util';
import * as tf from '@tensorflow/tfjs-core';
import { expectedInstallation, isInstalled, type Installation } from './install.ts';
import { UserError, type Placement } from '../types.ts';

const require = createRequire(import.meta.url);

/** TensorFlow's and oneDNN's own chatter is off unless the user asks for it by setting these himself. */
function quiet(): void {
  process.env.TF_CPP_MIN_LOG_LEVEL ??= '3';
  process.env.TF_CPP_MAX_VLOG_LEVEL ??= '0';
  process.env.ABSL_MIN_LOG_LEVEL ??= '3';
}

/** What CUDA has to know before it is loaded: which GPU, and that memory is taken as it is needed, not all at once. */
function place({ gpu, uuid }: Placement): void {
  process.env.TF_FORCE_GPU_ALLOW_GROWTH ??= 'true';
  if (!gpu) process.env.CUDA_VISIBLE_DEVICES = '-1';
  else if (uuid !== undefined) process.env.CUDA_VISIBLE_DEVICES ??= uuid;
}

/**
 * Loads the binding from the user's cache and registers tfjs-node-gpu's backend as 'tensorflow', on the one tfjs-core in use.
 * (tfjs-node-gpu's own index looks for the binding inside node_modules, which we leave alone.)
 * @returns TensorFlow's version
 */
export async function registerTensorflow(placement: Placement): Promise<string> {
  const installation = await expectedInstallation();
  if (!(await isInstalled(installation)))
    throw new UserError('The tensorflow engine is not set up; run npm start (or npm test) once, which sets it up');
  quiet();
  place(placement);
  // tfjs-node 4.22 calls util.isNullOrUndefined, which Node 23 took away.
  Object.assign(util, { isNullOrUndefined: (value: unknown) => value === null || value === undefined });
  return withoutNoise(installation, () => {
    const binding = require(installation.binding) as { TF_Version: string };
    if (!tf.findBackendFactory('tensorflow')) registerBackend(binding);
    return binding.TF_Version;
  });
}

function registerBackend(binding: unknown): void {
  require('@tensorflow/tfjs-node-gpu/dist/register_all_kernels');
  const { NodeJSKernelBackend } = require('@tensorflow/tfjs-node-gpu/dist/nodejs_kernel_backend') as {
    NodeJSKernelBackend: new (binding: unknown, name: string) => tf.KernelBackend;
  };
  const backend = new NodeJSKernelBackend(binding, '@tensorflow/tfjs-node-gpu');
  tf.registerBackend('tensorflow', () => backend);
}

/** Runs `load` with standard error muted, unless the user asked for TensorFlow's log by setting TF_CPP_MIN_LOG_LEVEL below 3. */
function withoutNoise<T>(installation: Installation, load: () => T): T {
  if (process.env.TF_CPP_MIN_LOG_LEVEL !== '3') return load();
  const stderr = require(path.join(installation.folder, 'stderr.node')) as { mute(): void; restore(): void };
  stderr.mute();
  try {
    return load();
  } finally {
    stderr.restore();
  }
}
