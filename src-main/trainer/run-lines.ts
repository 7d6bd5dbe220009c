import path from 'node:path';
import type { Checkpoint } from './checkpoints.ts';
import { JsonLines } from './telemetry.ts';

type Bytes = Checkpoint['telemetryBytes'];

/** What a run tells line by line: metrics.jsonl, heads.jsonl and samples.jsonl of its folder. */
export class RunLines {
  private constructor(
    readonly metrics: JsonLines,
    readonly heads: JsonLines,
    readonly samples: JsonLines,
  ) {}

  /** @param bytes what of them is of before a resumed run's checkpoint */
  static async open(folder: string, bytes: Bytes = { metrics: 0, heads: 0, samples: 0 }): Promise<RunLines> {
    const open = (name: keyof Bytes) => JsonLines.open(path.join(folder, `${name}.jsonl`), bytes[name]);
    return new RunLines(await open('metrics'), await open('heads'), await open('samples'));
  }

  get bytes(): Bytes {
    return { metrics: this.metrics.length, heads: this.heads.length, samples: this.samples.length };
  }

  /** Makes what was appended last through a power cut. */
  async sync(): Promise<void> {
    for (const lines of [this.metrics, this.heads, this.samples]) await lines.sync();
  }

  async close(): Promise<void> {
    for (const lines of [this.metrics, this.heads, this.samples]) await lines.close();
  }
}
