import type { RunEvent } from '../trainer/events.ts';
import type { MetricsLine } from '../trainer/telemetry.ts';
import { duration, size } from './output.ts';

const BAR = 24;
/** Where standard error is no terminal, about so many lines a run are written. */
const LINES_A_RUN = 20;

/** A run's progress on standard error: one line that changes in a terminal, a line now and then in a file. */
export class Progress {
  private steps = 0;
  private unit = 'tokens';
  private evalLoss?: number;
  private readonly terminal = process.stderr.isTTY;

  show(event: RunEvent): void {
    if (event.kind === 'log') this.line(event.line);
    if (event.kind === 'trouble') this.line(event.message);
    if (event.kind === 'started') {
      this.steps = event.steps;
      this.unit = event.unit;
      const from = event.step > 0 ? ` from step ${event.step} on` : '';
      this.line(`Training ${event.steps} steps${from} on ${event.engine}, ${event.heads} heads`);
    }
    if (event.kind === 'metrics') this.metrics(event.line);
  }

  /** Writes a line of its own above the bar. */
  line(text: string): void {
    this.clear();
    process.stderr.write(`${text}\n`);
  }

  /** Takes the bar away. */
  clear(): void {
    if (this.terminal) process.stderr.write('\r\x1b[K');
  }

  private metrics(line: MetricsLine): void {
    this.evalLoss = line.evalLoss ?? this.evalLoss;
    if (this.terminal) {
      this.clear();
      process.stderr.write(this.text(line).slice(0, (process.stderr.columns || 80) - 1));
      return;
    }
    const every = Math.max(1, Math.round(this.steps / LINES_A_RUN));
    if (line.step % every === 0 || line.step === this.steps || line.evalLoss !== undefined) this.line(this.text(line));
  }

  private text({ step, loss, tokensPerSecond, memory, secondsLeft }: MetricsLine): string {
    const done = Math.round((BAR * step) / this.steps);
    const bar = `[${'#'.repeat(done)}${'.'.repeat(BAR - done)}]`;
    const heldOut = this.evalLoss === undefined ? '' : `, held-out ${this.evalLoss.toFixed(3)}`;
    const left = step < this.steps ? ` · ${duration(secondsLeft)} left` : '';
    return `${bar} ${step}/${this.steps}${left} · loss ${loss.toFixed(3)}${heldOut} · ${rate(tokensPerSecond)} ${this.unit}/s · ${size(memory)}`;
  }
}

/** A few a second have a part behind the point. */
const rate = (each: number) => (each < 10 ? each.toFixed(1) : String(Math.round(each)));
