/** A process that was asked for something and says nothing for this long is asked to end, and then ended, milliseconds. */
const ANSWER_MS = 30_000;
const END_MS = 10_000;

/** How a process is ended that doesn't answer. */
export interface Escalated {
  kill(signal: 'SIGTERM' | 'SIGKILL'): void;
  /** what happens now, as a sentence */
  tell(message: string): void;
}

/**
 * Watches whether a process still says something, once it was asked to pause or stop. A step that takes long holds everything up:
 * the longest silence before counts twice on top.
 */
export class Escalation {
  private heardAt = performance.now();
  private longestSilence = 0;
  private isAsked = false;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly process: Escalated,
    private readonly limits = { answer: ANSWER_MS, end: END_MS },
  ) {}

  /** Whether it has said something since it was asked. */
  hasAnswered = false;

  ask(): void {
    if (this.isAsked) return;
    this.isAsked = true;
    this.wait();
  }

  /** Any message is a sign of life. */
  heard(): void {
    const now = performance.now();
    this.longestSilence = Math.max(this.longestSilence, now - this.heardAt);
    this.heardAt = now;
    if (!this.isAsked) return;
    this.hasAnswered = true;
    this.wait();
  }

  close(): void {
    clearTimeout(this.timer);
  }

  private wait(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.terminate(), this.limits.answer + 2 * this.longestSilence);
  }

  private terminate(): void {
    const seconds = Math.round((performance.now() - this.heardAt) / 1000);
    this.process.tell(`It has not answered for ${seconds} seconds and is asked once more to end.`);
    this.process.kill('SIGTERM');
    this.timer = setTimeout(() => {
      this.process.tell('It still does not answer and is ended by force; the run goes on from its last checkpoint.');
      this.process.kill('SIGKILL');
    }, this.limits.end);
  }
}
