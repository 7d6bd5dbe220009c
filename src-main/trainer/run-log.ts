import fsp from 'node:fs/promises';

/** trainer.log of a run: each line once, with its time, in order. A line that can't be written is told once and never thrown. */
export class RunLog {
  private writing: Promise<void> = Promise.resolve();
  private failed = false;

  constructor(
    private readonly file: string,
    private readonly trouble: (message: string) => void,
  ) {}

  line(text: string): void {
    const dated = `${new Date().toISOString()} ${text}\n`;
    this.writing = this.writing.then(() => fsp.appendFile(this.file, dated)).catch((error: Error) => this.fail(error));
  }

  /** Resolves when what was said so far is written, or can't be. */
  settled(): Promise<void> {
    return this.writing;
  }

  private fail({ message }: Error): void {
    if (!this.failed) this.trouble(`The run's log can't be written (${message}). The training itself goes on.`);
    this.failed = true;
  }
}
