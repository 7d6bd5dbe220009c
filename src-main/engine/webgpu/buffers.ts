import type { Device } from './device.ts';

/** A free buffer may be this much larger than what is asked for. */
const SLACK = 1.25;
/** Free buffers not taken for this many readings (a training step reads twice) go back to the device. */
const IDLE_READINGS = 6;

interface Free {
  buffer: GPUBuffer;
  /** the reading since which it is free */
  since: number;
}

/**
 * The device's buffers, with tfjs's BufferManager's interface. Commands run in the order they are recorded, so a buffer that is
 * given back may be taken again at once, by the next command: memory in use is what the step needs, not what all commands since
 * the last submission have touched.
 */
export class BufferPool {
  numBytesUsed = 0;
  numBytesAllocated = 0;
  /** the most ever allocated since `resetPeak` */
  peakBytes = 0;
  readonly #free = new Map<number, Free[]>();
  #readings = 0;

  /** @param submit records end and commands are sent, so that free buffers can be destroyed */
  constructor(
    private readonly device: Device,
    private readonly submit: () => void,
  ) {
    device.usedBytes = () => this.numBytesUsed;
  }

  acquireBuffer(size: number, usage: number, mappedAtCreation = false, reuse = true): GPUBuffer {
    const bytes = Math.max(16, Math.ceil(size / 16) * 16);
    const buffer = (reuse && this.#take(bytes, usage)) || this.#create(bytes, usage, mappedAtCreation);
    this.numBytesUsed += buffer.size;
    return buffer;
  }

  releaseBuffer(buffer: GPUBuffer, reuse = true): void {
    this.numBytesUsed -= buffer.size;
    if (!reuse) return this.#destroy(buffer);
    const free = this.#free.get(buffer.usage) ?? [];
    free.push({ buffer, since: this.#readings });
    this.#free.set(buffer.usage, free);
  }

  /** Counts a reading and gives back what has been idle for long. Nothing may be recorded and not yet submitted. */
  trim(): void {
    this.#readings++;
    this.#destroyFree(({ since }) => this.#readings - since > IDLE_READINGS);
  }

  resetPeak(): void {
    this.peakBytes = this.numBytesAllocated;
  }

  dispose(): void {
    this.#destroyFree(() => true);
  }

  /** The smallest free buffer that is large enough. */
  #take(bytes: number, usage: number): GPUBuffer | undefined {
    const free = this.#free.get(usage) ?? [];
    let best = -1;
    for (const [index, { buffer }] of free.entries()) {
      if (buffer.size < bytes || buffer.size > bytes * SLACK + 64) continue;
      if (best < 0 || buffer.size < free[best]!.buffer.size) best = index;
      if (buffer.size === bytes) break;
    }
    if (best < 0) return undefined;
    const [{ buffer }] = free.splice(best, 1) as [Free];
    return buffer;
  }

  #create(size: number, usage: number, mappedAtCreation: boolean): GPUBuffer {
    if (this.numBytesAllocated + size > this.device.found.memoryBytes) {
      this.submit();
      this.#destroyFree(() => true);
    }
    this.device.check();
    try {
      const buffer = this.device.gpu.createBuffer({ size, usage, mappedAtCreation });
      this.numBytesAllocated += size;
      this.peakBytes = Math.max(this.peakBytes, this.numBytesAllocated);
      return buffer;
    } catch (error) {
      // A buffer that is to be mapped and can't be had is a RangeError (WebGPU, createBuffer).
      if (error instanceof RangeError) throw this.device.outOfMemory();
      throw error;
    }
  }

  #destroy(buffer: GPUBuffer): void {
    this.numBytesAllocated -= buffer.size;
    buffer.destroy();
  }

  #destroyFree(which: (free: Free) => boolean): void {
    for (const [usage, all] of this.#free) {
      for (const free of all.filter(which)) this.#destroy(free.buffer);
      this.#free.set(
        usage,
        all.filter((free) => !which(free)),
      );
    }
  }
}
