import { constants } from 'node:os';
import type { Command } from 'commander';
import type { CheckEvent, MachineReport } from '../../src-preload/contract/index.ts';
import { forked } from '../engine/child.ts';
import { examine } from '../studio/doctor/examine.ts';
import { command } from './command.ts';
import { EXIT } from './exit.ts';
import { note, printJson } from './output.ts';

/** `effilora doctor`: what every engine of this machine can do, measured, and what to do about what can't be. */
export function doctorCommand(program: Command): void {
  command(program, 'doctor', 'check this machine: drivers, engines, their speed and memory, and what to do', [
    'doctor',
    'doctor --json > report.json',
  ]).action(async ({ json }: { json?: boolean }) => {
    const cancelled = new AbortController();
    let endedBy: number | undefined;
    const cancel = (signal: NodeJS.Signals) => {
      endedBy = 128 + constants.signals[signal];
      cancelled.abort();
    };
    process.once('SIGINT', cancel).once('SIGTERM', cancel);
    const events = examine({ launch: forked, signal: cancelled.signal });
    const report = await follow(events, json ?? false);
    process.off('SIGINT', cancel).off('SIGTERM', cancel);
    process.exitCode = report ? exitCodeOf(report) : endedBy;
  });
}

/** Progress goes to standard error, the report to standard output. Nothing is returned where it was cancelled. */
async function follow(events: AsyncIterable<CheckEvent>, asJson: boolean): Promise<MachineReport | undefined> {
  for await (const event of events) {
    if (event.kind === 'doing') note(`[${event.done + 1}/${event.total}] ${event.what}`);
    if (event.kind !== 'done') continue;
    if (asJson) printJson(event.report);
    else console.log(event.text);
    return event.report;
  }
  return undefined;
}

/** 0 where any engine passed. */
export const exitCodeOf = ({ engines }: MachineReport) =>
  engines.some(({ probe }) => probe.passed) ? EXIT.ok : EXIT.userError;
