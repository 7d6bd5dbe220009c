import fsp from 'node:fs/promises';

/** One line of metrics.jsonl (docs/method.md, Run files). */
export interface MetricsLine {
  step: number;
  loss: number;
  learningRate: number;
  gradNorm: number;
  tokens: { label: number; all: number };
  tokensPerSecond: number;
  /** bytes on the device; on a processor resident ones */
  memory: number;
  secondsLeft: number;
  evalLoss?: number;
  /** standard error of evalLoss by example (null for a lone one), and how many examples it is of */
  evalError?: number | null;
  evalExamples?: number;
}

/** One line of heads.jsonl. */
export interface HeadsLine {
  step: number;
  importance: Record<string, number>;
  frozen: string[];
  routerShare: Record<string, number>;
}

/** An append-only file of one JSON object a line. */
export class JsonLines {
  private constructor(
    private readonly handle: fsp.FileHandle,
    private bytes: number,
  ) {}

  /** Opens the file, cut back to `bytes`: what a killed run wrote behind its last checkpoint is written again. */
  static async open(file: string, bytes: number): Promise<JsonLines> {
    const handle = await fsp.open(file, 'a+');
    const { size } = await handle.stat();
    await handle.truncate(Math.min(bytes, size));
    return new JsonLines(handle, Math.min(bytes, size));
  }

  /** Length in bytes. */
  get length(): number {
    return this.bytes;
  }

  async append(line: object): Promise<void> {
    const data = Buffer.from(`${JSON.stringify(line)}\n`);
    await this.handle.appendFile(data);
    this.bytes += data.length;
  }

  /** Makes what was appended last through a power cut. */
  sync(): Promise<void> {
    return this.handle.sync();
  }

  close(): Promise<void> {
    return this.handle.close();
  }
}
