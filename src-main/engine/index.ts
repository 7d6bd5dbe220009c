import os from 'node:os';
import path from 'node:path';
import { createRequire } from 'node:module';
import * as tf from '@tensorflow/tfjs-core';
import './gradients.ts';
import { registerTensorflow } from './tensorflow/binding.ts';
import { nvidiaDriver, nvidiaGpu } from './tensorflow/cuda.ts';
import { openCompiler } from './tensorflow/open-compiler.ts';
import { isInstalled, TENSORFLOW_VERSION } from './tensorflow/install.ts';
import { UserError, type EngineName, type EngineStatus } from './types.ts';
import { openWebgpu, webgpuStatus } from './webgpu/open.ts';

const require = createRequire(import.meta.url);

const cpuName = () => os.cpus()[0]?.model.trim() ?? os.arch();

async function tensorflowStatus(): Promise<EngineStatus> {
  const gpu = nvidiaGpu();
  const available = await isInstalled();
  const versions: Record<string, string> = { tensorflow: TENSORFLOW_VERSION, 'tfjs-node-gpu': '4.22.0' };
  if (gpu) versions.driver = gpu.driver;
  let reason = gpu ? 'An NVIDIA GPU and its driver are here' : 'No NVIDIA GPU was found: it runs on the CPU';
  if (nvidiaDriver() && !gpu) reason = 'An NVIDIA driver is loaded but nvidia-smi does not answer: it runs on the CPU';
  if (!available) reason = 'It is not set up on this machine; npm start sets it up (Linux on x86-64)';
  return {
    name: 'tensorflow',
    available,
    device: gpu?.name ?? cpuName(),
    kind: gpu ? 'gpu' : 'cpu',
    memoryBytes: gpu?.memoryBytes ?? os.totalmem(),
    versions,
    reason,
  };
}

function portableStatus(name: 'wasm' | 'cpu'): EngineStatus {
  const reason =
    name === 'wasm'
      ? 'WebAssembly runs everywhere; slower than tensorflow, and at most 4 GiB'
      : 'Plain JavaScript runs everywhere; for tests and tiny models';
  return {
    name,
    available: true,
    device: cpuName(),
    kind: 'cpu',
    memoryBytes: name === 'wasm' ? Math.min(2 ** 32, os.totalmem()) : os.totalmem(),
    versions: { tfjs: tf.version_core },
    reason,
  };
}

/** Every engine on this machine, in the order `auto` prefers them: CUDA TensorFlow, webgpu on a GPU, then what runs on CPUs. */
export async function listEngines(): Promise<EngineStatus[]> {
  const [tensorflow, webgpu] = await Promise.all([tensorflowStatus(), webgpuStatus()]);
  const gpus = [tensorflow, webgpu].filter(({ kind }) => kind === 'gpu');
  const rest = [tensorflow, portableStatus('wasm'), portableStatus('cpu'), webgpu];
  return [...gpus, ...rest.filter((engine) => !gpus.includes(engine))];
}

/** Which engine `auto` takes, and why: the first that is available. */
export async function chooseEngine(): Promise<EngineStatus> {
  const engines = await listEngines();
  const chosen = engines.find((engine) => engine.available)!;
  const passed = engines.slice(0, engines.indexOf(chosen)).map((engine) => `${engine.name}: ${engine.reason}`);
  return { ...chosen, reason: [`Chosen as the first that is available. ${chosen.reason}`, ...passed].join('. ') };
}

/**
 * Makes an engine tfjs's backend for this process.
 * @throws UserError when it is not available here
 */
export async function openEngine(choice: EngineName | 'auto'): Promise<EngineStatus> {
  const status = choice === 'auto' ? await chooseEngine() : (await listEngines()).find((e) => e.name === choice);
  if (!status)
    throw new UserError(`The engine "${choice}" does not exist here; choose tensorflow, webgpu, wasm or cpu`);
  if (!status.available) throw new UserError(`The engine ${status.name} can't be used: ${status.reason}`);
  if (status.name === 'tensorflow') status.versions.tensorflow = await registerTensorflow();
  if (status.name === 'webgpu') await openWebgpu();
  if (status.name === 'wasm') {
    const wasm = await import('@tensorflow/tfjs-backend-wasm');
    wasm.setWasmPaths(path.join(path.dirname(require.resolve('@tensorflow/tfjs-backend-wasm/package.json')), 'dist/'));
  }
  if (status.name === 'cpu') await import('@tensorflow/tfjs-backend-cpu');
  if (!(await tf.setBackend(status.name)))
    throw new UserError(`The engine ${status.name} did not start; try another with --engine`);
  await tf.ready();
  if (status.name === 'tensorflow') await openCompiler();
  // tfjs's advice to install tfjs-node instead is not for our users.
  if (status.name === 'cpu') Object.assign(tf.backend(), { firstUse: false });
  return status;
}
