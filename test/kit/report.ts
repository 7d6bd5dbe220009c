import { renameSync, writeFileSync } from 'node:fs';
import type { MachineReport } from '../../src-preload/contract/index.ts';
import { reportText } from '../../src-main/studio/doctor/report.ts';
import type { Facts } from './facts.ts';
import type { KernelRow } from './kernels.ts';
import type { Limit } from './limits.ts';
import { OF_ZEROS } from './model-by-shape.ts';
import type { StepRow } from './steps.ts';
import type { TestResult } from './test-file.ts';

/** All that the kit found on a machine. */
export interface Report {
  /** of the studio, and the commit that the kit was made of */
  version: string;
  commit?: string;
  begun: string;
  seconds: number;
  /** it was asked for small shapes */
  small: boolean;
  /** it was ended before its end */
  interrupted?: boolean;
  /** none: there is no GPU that WebGPU can use */
  facts?: Facts;
  doctor?: MachineReport;
  tests: { file: string; results: TestResult[] }[];
  limits: Limit[];
  kernels: KernelRow[];
  steps: StepRow[];
  /** why there is nothing of PyTorch's */
  peerMissing?: string;
  /** what went wrong, as sentences */
  problems: string[];
}

const resultsOf = ({ tests }: Report) => tests.flatMap(({ results }) => results);

/** Whether all parts came to their ends and no test failed. */
export const isWhole = (report: Report): boolean =>
  report.facts !== undefined &&
  report.problems.length === 0 &&
  resultsOf(report).every(({ state }) => state !== 'failed');

/** Writes NAME.json and NAME.md in the place of what was known before. */
export function writeReport(name: string, report: Report): void {
  const texts = { json: `${JSON.stringify(report, null, 1)}\n`, md: reportAsMarkdown(report) };
  for (const [kind, text] of Object.entries(texts)) {
    writeFileSync(`${name}.${kind}.part`, text);
    renameSync(`${name}.${kind}.part`, `${name}.${kind}`);
  }
}

const table = (head: string[], rows: string[][]) =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`);

/** The same to be read. */
export function reportAsMarkdown(report: Report): string {
  const { version, commit, begun, seconds, small, interrupted, facts, doctor, problems } = report;
  const made = `EffiLoRA Studio ${version}${commit === undefined ? '' : ` (${commit})`}, begun ${begun}, ${Math.round(seconds)} seconds`;
  return [
    `# ${facts?.device ?? 'No GPU that WebGPU can use'}`,
    '',
    `${made}${small ? ', small shapes' : ''}${interrupted ? '. Interrupted: what was measured until then' : ''}.`,
    '',
    ...(facts ? factLines(facts) : []),
    ...(problems.length > 0 ? ['## What went wrong', '', ...problems.map((each) => `- ${each}`), ''] : []),
    ...testLines(report),
    ...kernelLines(report),
    ...stepLines(report),
    ...(doctor ? ['## effilora doctor', '', OF_ZEROS, '', '```', reportText(doctor), '```', ''] : []),
  ].join('\n');
}

const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(2)} GiB`;
const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

function factLines(facts: Facts): string[] {
  const { system, processor, memoryBytes, node, software, deviceBytes, freeBytes, driver, adapter, features } = facts;
  const free = freeBytes === undefined ? '' : `, ${gib(freeBytes)} free`;
  return [
    `- GPU: ${adapter.description || adapter.device} (${adapter.vendor} ${adapter.architecture}), driver ${driver ?? 'not told'}, ${gib(deviceBytes)}${free}${software ? '; software: its speeds say nothing' : ''}`,
    `- ${processor}, ${gib(memoryBytes)}, ${system}, Node ${node}`,
    `- WebGPU: ${features.join(', ')}`,
    '',
  ];
}

function testLines(report: Report): string[] {
  const results = resultsOf(report);
  if (results.length === 0) return [];
  const count = (state: TestResult['state']) => results.filter((each) => each.state === state).length;
  const told = results.filter(({ state }) => state !== 'passed');
  return [
    '## Tests',
    '',
    `${count('passed')} passed, ${count('failed')} failed, ${count('skipped')} skipped.`,
    '',
    ...told.map(({ name, state, reason }) => `- ${state}: ${name}${reason === undefined ? '' : `. ${reason}`}`),
    '',
  ];
}

const UNITS = { bytes: 'GB/s', f32: 'GFLOP/s', f16: 'GFLOP/s', int8: 'GOP/s' };

function kernelLines({ limits, kernels }: Report): string[] {
  if (limits.length === 0) return [];
  const speed = (limit: Limit['limit'], perSecond: number) => `${perSecond.toFixed(1)} ${UNITS[limit]}`;
  return [
    '## Kernels',
    '',
    'Shares of what this device was measured to do at most:',
    '',
    ...limits.map(({ limit, what, perSecond }) => `- ${what}: ${speed(limit, perSecond)}`),
    '',
    ...table(
      ['kernel', 'speed', 'share', 'of', 'ms'],
      kernels.map(({ kernel, limit, perSecond, share, seconds }) => [
        ...[kernel, speed(limit, perSecond), `${(100 * share).toFixed(0)} %`, limit, (1000 * seconds).toFixed(3)],
      ]),
    ),
    '',
  ];
}

function stepLines({ steps, peerMissing }: Report): string[] {
  if (steps.length === 0) return [];
  const rows = steps.map((step) => [
    ...[`${step.model}, ${step.rows} x ${step.length}`, step.precision, step.side],
    ...(step.secondsAStep === undefined ? ['', ''] : [step.secondsAStep.toFixed(3), step.tokensPerSecond!.toFixed(1)]),
    step.peakBytes === undefined ? '' : mib(step.peakBytes),
    step.predictedBytes === undefined ? '' : mib(step.predictedBytes),
    step.problem ?? '',
  ]);
  return [
    '## Training steps',
    '',
    'The quickest of three after the first, and the most of the device’s memory. Ours: EffiLoRA, rank 16, 3 heads, 7 sites. PyTorch with PEFT: LoRA, rank 16, the same sites, its weights in the precision of the products. Both compute blocks again in backward.',
    '',
    ...table(['model, tokens', 'precision', 'side', 's a step', 'tokens/s', 'memory', 'planned', ''], rows),
    '',
    ...(peerMissing === undefined ? [] : [peerMissing, '']),
  ];
}
