import { DeviceError, outOfMemory } from '../device-error.ts';
import { UserError } from '../types.ts';
import type { FoundAdapter } from './adapter.ts';
import type { MatrixUnits } from './tiles.ts';

/** Features that are used where a device has them; for each there is a way without. */
const MATRICES = 'chromium-experimental-subgroup-matrix';
const FEATURES = ['shader-f16', 'subgroups', 'timestamp-query', MATRICES] as const;
type Feature = (typeof FEATURES)[number];

/** What Dawn tells of such matrices: M x K numbers by K x N. */
interface MatrixConfig {
  componentType: string;
  resultComponentType: string;
  M: number;
  N: number;
  K: number;
}

/** Limits that are raised from WebGPU's guaranteed minimum to what the device has. */
const LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupSizeY',
  'maxComputeWorkgroupSizeZ',
  'maxComputeWorkgroupsPerDimension',
] as const;

/** A device with all it has, and what went wrong on it. */
export class Device {
  /** what Dawn said of calls that were not valid: our own mistakes, which tests look for */
  readonly log: string[] = [];
  /** what its tensors take now, where someone counts */
  usedBytes?: () => number;
  #failure?: DeviceError;

  private constructor(
    readonly gpu: GPUDevice,
    readonly found: FoundAdapter,
  ) {
    gpu.addEventListener('uncapturederror', (event) => {
      event.preventDefault(); // it would be written to standard output
      this.#note((event as GPUUncapturedErrorEvent).error);
    });
    void gpu.lost.then(({ reason, message }) => this.#lose(reason, message));
  }

  /** @throws UserError when the driver refuses */
  static async open(found: FoundAdapter, features: readonly Feature[] = FEATURES): Promise<Device> {
    const { adapter } = found;
    const requiredFeatures = features.filter((feature) => adapter.features.has(feature)) as GPUFeatureName[];
    const requiredLimits = Object.fromEntries(LIMITS.map((limit) => [limit, adapter.limits[limit]]));
    try {
      return new Device(await adapter.requestDevice({ requiredFeatures, requiredLimits }), found);
    } catch (error) {
      throw new UserError(
        `${found.device} could not be opened (${(error as Error).message}); close other programs that use it, or choose another engine`,
      );
    }
  }

  has(feature: Feature): boolean {
    return this.gpu.features.has(feature);
  }

  /** Matrices in f16 that a subgroup multiplies in one go, into f32; none where WebGPU reaches no tensor cores. */
  get matrixUnits(): MatrixUnits[] {
    if (!this.has(MATRICES) || !this.has('shader-f16') || !this.has('subgroups')) return [];
    const { subgroupMatrixConfigs = [] } = this.found.adapter.info as GPUAdapterInfo & {
      subgroupMatrixConfigs?: MatrixConfig[];
    };
    return subgroupMatrixConfigs
      .filter(({ componentType, resultComponentType }) => componentType === 'f16' && resultComponentType === 'f32')
      .map(({ M, N, K }) => ({ rows: M, columns: N, inner: K }));
  }

  /** @throws DeviceError once the device is lost or its memory has run out */
  check(): void {
    if (this.#failure) throw this.#failure;
  }

  /** Notes that memory ran out. */
  outOfMemory(): DeviceError {
    this.#failure ??= outOfMemory(this.found.device, this.usedBytes?.());
    return this.#failure;
  }

  #note(error: GPUError): void {
    if (error.constructor.name === 'GPUOutOfMemoryError') this.outOfMemory();
    this.log.push(error.message);
  }

  #lose(reason: GPUDeviceLostReason, message: string): void {
    this.#failure ??= new DeviceError(
      `${this.found.device} stopped working (${reason}: ${message.split('\n')[0]}): a step that takes too long or too much memory does that, too, so lower training.batch or training.sequenceLength; checkpoints written so far are kept, --resume goes on from the last one`,
    );
  }
}
