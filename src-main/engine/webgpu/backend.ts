import { createRequire } from 'node:module';
import * as tf from '@tensorflow/tfjs-core';
import type { BackendValues, DataId, DataStorage, DataType, KernelBackend, TensorInfo } from '@tensorflow/tfjs-core';
import { BufferPool } from './buffers.ts';
import type { Device } from './device.ts';
import { SOFTWARE_TILES, type Tiles } from './tiles.ts';

interface TensorData {
  values: BackendValues | null;
  dtype: DataType;
  shape: number[];
  resource?: GPUBuffer | null;
  /** the buffer belongs to someone else */
  external?: boolean;
  /** where in the buffer the tensor lies, bytes; undefined: the whole buffer is its own */
  offset?: number;
}

/** What tfjs's WebGPUBackend has inside, as far as we use and replace it (tfjs-backend-webgpu 4.22, backend_webgpu.ts). */
interface TfjsBackend extends KernelBackend {
  device: GPUDevice;
  queue: GPUQueue;
  bufferManager: unknown;
  tensorMap: DataStorage<TensorData>;
  commandEncoder: GPUCommandEncoder | null;
  computePassEncoder: GPUComputePassEncoder | null;
  dispatchCountInPass: number;
  commandQueueOwnedIds: { add(id: object): unknown; has(id: object): boolean };
  uniformPendingDisposal: GPUBuffer[];
  stagingPendingDisposal: GPUBuffer[];
  ensureCommandEncoderReady(): void;
  endComputePassEncoder(): void;
  submitQueue(): void;
  uploadToGPU(dataId: DataId): void;
  makeTensorInfo(shape: number[], dtype: DataType, values?: BackendValues): TensorInfo;
  makeUniforms(uniforms: { type: string; data: number[] }[]): GPUBufferBinding;
  tensorToBinding(tensor: TensorInfo): GPUBufferBinding;
}

/** Bytes that are read back through one mapping at most: neither Dawn nor Node takes 2 GiB at once everywhere. */
const MAPPED_BYTES = 2 ** 28;

/** Dispatches recorded before they are sent, so that the GPU works while the next ones are recorded. */
const DISPATCHES_A_SUBMIT = 256;

const { WebGPUBackend } = createRequire(import.meta.url)('@tensorflow/tfjs-backend-webgpu') as {
  WebGPUBackend: new (device: GPUDevice, info: GPUAdapterInfo) => TfjsBackend;
};

/**
 * tfjs's WebGPU backend with our memory (buffers.ts), fewer submissions, reading without a canvas, and failures of the device
 * in words. Our own kernels run through `kernel.ts`, between tfjs's, in the same command buffers.
 */
export class Backend extends WebGPUBackend {
  readonly pool: BufferPool;
  /** pipelines of our own kernels, by their text */
  readonly pipelines = new Map<string, GPUComputePipeline>();

  /** of products; tuner.ts finds better ones for the device */
  tiles: Tiles = SOFTWARE_TILES;
  /** products with frozen weights are in f16 */
  half = false;
  /**
   * Of products and attention in one submission: drivers end what takes longer than two seconds, and products of more come in parts.
   * The tuner knows the device's speed; a software adapter has no such limit.
   */
  flopsASubmission = Infinity;
  #recordedFlops = 0;
  /** bytes of one mapping at most */
  mappedBytes = MAPPED_BYTES;

  constructor(readonly opened: Device) {
    super(opened.gpu, opened.found.adapter.info);
    tf.env().set('WEBGPU_DEFERRED_SUBMIT_BATCH_SIZE', DISPATCHES_A_SUBMIT);
    this.pool = new BufferPool(opened, () => this.flush());
    this.bufferManager = this.pool;
    // tfjs keeps buffers that recorded commands use until these are submitted; in order as they run, there is no need to.
    this.commandQueueOwnedIds = { add: () => {}, has: () => false };
  }

  override memory() {
    const { numBytesUsed, numBytesAllocated, peakBytes } = this.pool;
    return {
      ...{ numBytesInGPU: numBytesUsed, numBytesAllocatedInGPU: numBytesAllocated },
      ...{ peakBytesInGPU: peakBytes, unreliable: false },
    };
  }

  /** Sends what is recorded. */
  flush(): void {
    if (!this.commandEncoder) return;
    this.endComputePassEncoder();
    this.submitQueue();
  }

  override submitQueue(): void {
    if (!this.commandEncoder) return;
    this.queue.submit([this.commandEncoder.finish()]);
    this.commandEncoder = null;
    this.dispatchCountInPass = 0;
    this.#recordedFlops = 0;
    for (const buffer of this.uniformPendingDisposal) this.pool.releaseBuffer(buffer);
    for (const buffer of this.stagingPendingDisposal) this.pool.releaseBuffer(buffer, false);
    this.uniformPendingDisposal = [];
    this.stagingPendingDisposal = [];
  }

  /** Records one dispatch of our own, as tfjs records its. */
  dispatch(
    pipeline: GPUComputePipeline,
    group: GPUBindGroup,
    [x, y, z]: [number, number, number],
    flops: number,
  ): void {
    if (this.#recordedFlops + flops > this.flopsASubmission) this.flush();
    this.#recordedFlops += flops;
    this.ensureCommandEncoderReady();
    this.computePassEncoder ??= this.commandEncoder!.beginComputePass();
    this.computePassEncoder.setPipeline(pipeline);
    this.computePassEncoder.setBindGroup(0, group);
    this.computePassEncoder.dispatchWorkgroups(x, y, z);
    if (++this.dispatchCountInPass >= DISPATCHES_A_SUBMIT) this.flush();
  }

  /** Records a command that is not a dispatch. */
  record(command: (encoder: GPUCommandEncoder) => void): void {
    this.ensureCommandEncoderReady();
    this.endComputePassEncoder();
    command(this.commandEncoder!);
  }

  override tensorToBinding(tensor: TensorInfo): GPUBufferBinding {
    const { resource, offset, dtype } = this.tensorMap.get(tensor.dataId);
    if (offset === undefined) return { buffer: resource! };
    return { buffer: resource!, offset, size: tf.util.sizeFromShape(tensor.shape) * tf.util.bytesPerElement(dtype) };
  }

  /** @throws DeviceError when the device is lost or its memory has run out */
  override async read(dataId: DataId): Promise<BackendValues> {
    const { values, resource, dtype, shape, offset = 0 } = this.tensorMap.get(dataId);
    if (values != null) return values;
    const size = 4 * tf.util.sizeFromShape(shape);
    // All of it is copied now: the next command may write there.
    const portions = Array.from({ length: Math.ceil(size / this.mappedBytes) }, (_, i) => {
      const start = i * this.mappedBytes;
      const bytes = Math.min(this.mappedBytes, size - start);
      const staging = this.pool.acquireBuffer(bytes, GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ);
      this.record((encoder) => encoder.copyBufferToBuffer(resource!, offset + start, staging, 0, bytes));
      return { staging, start, bytes };
    });
    await Promise.resolve(); // readings asked for together are sent together
    this.flush();
    const all = new Uint8Array(size);
    for (const { staging, start, bytes } of portions) {
      await this.mapped(staging);
      all.set(new Uint8Array(staging.getMappedRange(0, bytes)), start);
      staging.unmap();
      this.pool.releaseBuffer(staging);
    }
    if (!this.commandEncoder) this.pool.trim();
    return tf.util.convertBackendValuesAndArrayBuffer(all.buffer, dtype) as BackendValues;
  }

  private async mapped(buffer: GPUBuffer): Promise<void> {
    try {
      await buffer.mapAsync(GPUMapMode.READ);
    } catch (error) {
      await Promise.race([this.device.lost, new Promise((resolve) => setTimeout(resolve, 100))]);
      this.opened.check();
      throw error;
    }
    this.opened.check();
  }

  override readSync(dataId: DataId): BackendValues {
    const { values } = this.tensorMap.get(dataId);
    if (values != null) return values;
    throw new Error('A GPU can only be read asynchronously: use data(), not dataSync()');
  }

  override dispose(): void {
    this.flush();
    this.pool.dispose();
    this.device.destroy();
  }
}

/** Makes tfjs's 'webgpu' backend of a device. */
export function registerWebgpu(device: Device): Backend {
  const backend = withNavigator(() => new Backend(device));
  tf.registerBackend('webgpu', () => backend);
  return backend;
}

/** tfjs's constructor asks whether `navigator.gpu` is there, which Node has not. */
function withNavigator<T>(construct: () => T): T {
  const before = Object.getOwnPropertyDescriptor(globalThis, 'navigator');
  Object.defineProperty(globalThis, 'navigator', { value: { gpu: {} }, configurable: true });
  try {
    return construct();
  } finally {
    if (before) Object.defineProperty(globalThis, 'navigator', before);
    else delete (globalThis as { navigator?: unknown }).navigator;
  }
}
