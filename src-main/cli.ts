import { Command } from 'commander';
import { dataCommand } from './cli/data.ts';
import { demoCommand } from './cli/demo.ts';
import { enginesCommand } from './cli/engines.ts';
import { evalCommand } from './cli/eval.ts';
import { EXIT, report } from './cli/exit.ts';
import { exportCommand } from './cli/export.ts';
import { generateCommand } from './cli/generate.ts';
import { importCommand } from './cli/import.ts';
import { inspectCommand } from './cli/inspect.ts';
import { modelsCommand } from './cli/models.ts';
import { planCommand } from './cli/plan.ts';
import { serveModelCommand } from './cli/serve-model.ts';
import { studioCommand } from './cli/studio.ts';
import { trainCommand } from './cli/train.ts';

const COMMANDS = [
  trainCommand,
  planCommand,
  evalCommand,
  generateCommand,
  exportCommand,
  importCommand,
  serveModelCommand,
  inspectCommand,
  dataCommand,
  modelsCommand,
  enginesCommand,
  studioCommand,
  demoCommand,
];

/** `effilora` with every command on it. */
export function commandLine(): Command {
  const program = new Command('effilora')
    .description('Fine-tune language models on your own machine with EffiLoRA.')
    .addHelpText('after', '\nExit codes: 0 done, 1 a fault of the program, 2 something to mend in what was given,')
    .addHelpText('after', '130 interrupted with a checkpoint to go on from. effilora COMMAND --help shows examples.')
    .exitOverride();
  for (const add of COMMANDS) add(program);
  return program;
}

/** The command line's door. Returns the exit code; `args` are the words after `effilora`. */
export async function runCommandLine(args: string[]): Promise<number> {
  // Whoever reads the output may have seen enough (`| head`).
  process.stdout.on('error', (error: NodeJS.ErrnoException) =>
    process.exit(error.code === 'EPIPE' ? EXIT.ok : EXIT.fault),
  );
  try {
    await commandLine().parseAsync(args, { from: 'user' });
    return Number(process.exitCode ?? EXIT.ok);
  } catch (error) {
    return report(error, args.includes('--json'));
  }
}
