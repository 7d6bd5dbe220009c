import { system, type GpuSources } from './gpus.ts';

const MIB = 2 ** 20;
/** nvidia-smi takes a good part of a second. */
const OLD_MS = 2_000;

/**
 * What this process takes of an NVIDIA GPU, as its driver tells: what TensorFlow has reserved there, which it doesn't give back. Where
 * the driver doesn't tell processes apart (containers), what more is in use than when this was opened.
 */
export class GpuMemory {
  /** the most that was told, bytes */
  peakBytes = 0;
  private lastBytes: number | undefined;
  private lastAt = -Infinity;
  private asking: Promise<void> | undefined;

  private constructor(
    private readonly uuid: string,
    private readonly usedBefore: number,
    private readonly from: Pick<GpuSources, 'nvidiaSmi' | 'nvidiaProcesses'>,
    private readonly now: () => number,
  ) {}

  /** Before anything is on the GPU. */
  static async open(
    uuid: string,
    from: Pick<GpuSources, 'nvidiaSmi' | 'nvidiaProcesses'> = system,
    now = () => performance.now(),
  ): Promise<GpuMemory> {
    return new GpuMemory(uuid, (await usedOf(uuid, from)) ?? 0, from, now);
  }

  /** The last figure, which is no older than some seconds where steps come that often; undefined: the driver tells nothing. */
  async bytes(): Promise<number | undefined> {
    if (this.now() - this.lastAt > OLD_MS) this.asking ??= this.ask().finally(() => (this.asking = undefined));
    // Only the first is waited for: steps are not to stand still.
    if (this.lastBytes === undefined) await this.asking;
    return this.lastBytes;
  }

  /** Asks now, whatever was told before. */
  async ask(): Promise<void> {
    const processes = await this.from.nvidiaProcesses();
    const [own] = processes.flatMap((line) => {
      const [pid, uuid, used] = line.split(', ');
      return Number(pid) === process.pid && uuid === this.uuid && Number(used) > 0 ? [Number(used) * MIB] : [];
    });
    const used = own ?? more(await usedOf(this.uuid, this.from), this.usedBefore);
    this.lastAt = this.now();
    this.lastBytes = used ?? this.lastBytes;
    this.peakBytes = Math.max(this.peakBytes, used ?? 0);
  }
}

const more = (used: number | undefined, before: number) => used && Math.max(0, used - before);

/** What all programs together take of a GPU, bytes. */
async function usedOf(uuid: string, from: Pick<GpuSources, 'nvidiaSmi'>): Promise<number | undefined> {
  const line = (await from.nvidiaSmi(['uuid', 'memory.used'])).find((each) => each.startsWith(`${uuid}, `));
  const used = Number(line?.split(', ')[1]);
  return Number.isFinite(used) ? used * MIB : undefined;
}
