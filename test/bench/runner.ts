import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** A process that is given its options as a line of JSON and answers each "run N" with one. */
export class Runner<Answer> {
  private readonly lines: AsyncIterator<string>;
  private readonly child;

  constructor(program: string, args: string[], options: object) {
    this.child = spawn(program, args, { stdio: ['pipe', 'pipe', process.env.BENCH_LOG ? 'inherit' : 'ignore'] });
    this.lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
    this.child.stdin.write(`${JSON.stringify(options)}\n`);
  }

  async run(count: number): Promise<Answer> {
    this.child.stdin.write(`run ${count}\n`);
    const { value, done } = await this.lines.next();
    if (done) throw new Error('the process ended before it answered; BENCH_LOG=1 shows what it said');
    return JSON.parse(value as string) as Answer;
  }

  close(): void {
    this.child.stdin.end();
  }
}
