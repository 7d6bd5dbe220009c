import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { RunEvent } from './events.ts';

/** A run's metrics as TensorBoard reads them: TFRecords of Event messages, in a file of its own for each start of the run. */
export class TensorBoardFile {
  private readonly file: string;
  private failed = false;

  constructor(
    folder: string,
    private readonly trouble: (message: string) => void,
  ) {
    const seconds = Math.floor(Date.now() / 1000);
    this.file = path.join(folder, 'tensorboard', `events.out.tfevents.${seconds}.${os.hostname()}.${process.pid}`);
  }

  take(event: RunEvent): void {
    if (event.kind === 'started') this.begin(event.step);
    if (event.kind === 'metrics') this.append(event.line.step, scalarsOf(event.line));
    if (event.kind === 'heads') this.append(event.line.step, { 'heads/frozen': event.line.frozen.length });
  }

  private begin(step: number): void {
    this.write([record(Buffer.concat([...head(0), text(3, 'brain.Event:2')]))]);
    // SessionLog.START: what was written for steps from here on is out of date.
    if (step > 0) this.write([record(Buffer.concat([...head(step + 1), message(7, Buffer.from([0x08, 1]))]))]);
  }

  private append(step: number, scalars: Record<string, number>): void {
    const values = Object.entries(scalars).map(([tag, value]) =>
      message(1, Buffer.concat([text(1, tag), float(2, value)])),
    );
    this.write([record(Buffer.concat([...head(step), message(5, Buffer.concat(values))]))]);
  }

  private write(records: Buffer[]): void {
    try {
      fs.mkdirSync(path.dirname(this.file), { recursive: true });
      fs.appendFileSync(this.file, Buffer.concat(records));
    } catch (error) {
      const { message: why } = error as Error;
      if (!this.failed)
        this.trouble(`The files for TensorBoard can't be written (${why}). The training itself goes on.`);
      this.failed = true;
    }
  }
}

function scalarsOf(line: Extract<RunEvent, { kind: 'metrics' }>['line']): Record<string, number> {
  const { loss, evalLoss, learningRate, gradNorm, tokensPerSecond, memory } = line;
  return {
    'loss/train': loss,
    ...(evalLoss === undefined ? {} : { 'loss/held out': evalLoss }),
    'learning rate': learningRate,
    'gradient norm': gradNorm,
    'speed/tokens a second': tokensPerSecond,
    'memory/bytes': memory,
  };
}

/** Event.wall_time = 1, Event.step = 2. */
function head(step: number): Buffer[] {
  const wallTime = Buffer.alloc(9, 0x09);
  wallTime.writeDoubleLE(Date.now() / 1000, 1);
  return [wallTime, Buffer.concat([Buffer.from([0x10]), varint(step)])];
}

const text = (field: number, value: string) => message(field, Buffer.from(value));
const message = (field: number, body: Buffer) =>
  Buffer.concat([Buffer.from([(field << 3) | 2]), varint(body.length), body]);
function float(field: number, value: number): Buffer {
  const out = Buffer.alloc(5, (field << 3) | 5);
  out.writeFloatLE(value, 1);
  return out;
}

/** Seven bits a byte, lowest first; the top bit says that another follows. */
function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...bytes, rest]);
    bytes.push((rest % 128) | 0x80);
  }
}

/** Length, its checksum, the bytes, their checksum. */
function record(data: Buffer): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(data.length));
  return Buffer.concat([length, masked(length), data, masked(data)]);
}

function masked(data: Buffer): Buffer {
  const crc = crc32c(data);
  const out = Buffer.alloc(4);
  out.writeUInt32LE((((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0);
  return out;
}

/** Castagnoli's polynomial, lowest bit first. */
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ 0x82f63b78 : rest >>> 1;
  return rest;
});
function crc32c(data: Buffer): number {
  let crc = 0xffffffff;
  for (const byte of data) crc = TABLE[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}
