import { mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** What nvidia-smi of a machine with two GPUs prints for each field. */
export const TWO_GPUS: Record<string, string>[] = [
  {
    ...{ name: 'NVIDIA GeForce GT 710', 'memory.total': '2048', 'memory.used': '100', 'utilization.gpu': '[N/A]' },
    ...{ driver_version: '570.133.07', uuid: 'GPU-aaaa', compute_cap: '3.5' },
  },
  {
    ...{ name: 'NVIDIA H100 80GB HBM3', 'memory.total': '81920', 'memory.used': '12288', 'utilization.gpu': '63' },
    ...{ driver_version: '570.133.07', uuid: 'GPU-bbbb', compute_cap: '9.0' },
  },
];

/**
 * A PATH that begins with a stand-in for nvidia-smi, as one with these GPUs answers what the studio asks. It refuses all fields where one is
 * not known.
 */
export function withNvidiaSmi(folder: string, gpus = TWO_GPUS): string {
  const programs = join(folder, 'programs');
  mkdirSync(programs, { recursive: true });
  const program = `#!${process.execPath}
const gpus = ${JSON.stringify(gpus)};
const [query, format] = process.argv.slice(2);
const fields = /^--query-gpu=(.*)$/.exec(query)?.[1].split(',');
if (!fields || format !== '--format=csv,noheader,nounits') process.exit(2);
const lines = gpus.map((gpu) => fields.map((field) => gpu[field]));
if (gpus.length === 0) { console.log('No devices were found'); process.exit(6); }
if (lines.flat().includes(undefined)) { console.log('Field is not a valid field to query.'); process.exit(2); }
for (const line of lines) console.log(line.join(', '));
`;
  writeFileSync(join(programs, 'nvidia-smi'), program, { mode: 0o755 });
  return [programs, process.env['PATH']].join(delimiter);
}
