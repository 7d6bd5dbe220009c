import type { Command } from 'commander';
import { chooseEngine, listEngines } from '../engine/index.ts';
import { command } from './command.ts';
import { printJson, size, table } from './output.ts';

/** `effilora engines`: every engine on this machine, and which one `auto` takes, and why. */
export function enginesCommand(program: Command): void {
  command(program, 'engines', 'list the engines on this machine and why the chosen one was chosen', [
    'engines',
    'engines --json',
  ]).action(async ({ json }: { json?: boolean }) => {
    const engines = await listEngines();
    const chosen = await chooseEngine();
    if (json) return printJson({ engines, chosen: chosen.name, why: chosen.reason });
    const rows = engines.map(({ name, available, device, memoryBytes, versions }) => [
      `${name === chosen.name ? '*' : ' '} ${name}`,
      available ? 'yes' : 'no',
      device,
      size(memoryBytes),
      Object.entries(versions)
        .map(([part, version]) => `${part} ${version}`)
        .join(', '),
    ]);
    console.log(table(['  engine', 'here', 'device', 'memory', 'versions'], rows));
    console.log(`\n${chosen.name}: ${chosen.reason}.`);
    for (const { name, reason } of engines) if (name !== chosen.name) console.log(`${name}: ${reason}.`);
  });
}
