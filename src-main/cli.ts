import { Command } from 'commander';
import { EXIT, report } from './cli/exit.ts';

/** Each command with its module, which brings along what it needs: a command loads no other's. */
const COMMANDS: Record<string, () => Promise<(program: Command) => void>> = {
  train: async () => (await import('./cli/train.ts')).trainCommand,
  plan: async () => (await import('./cli/plan.ts')).planCommand,
  eval: async () => (await import('./cli/eval.ts')).evalCommand,
  generate: async () => (await import('./cli/generate.ts')).generateCommand,
  export: async () => (await import('./cli/export.ts')).exportCommand,
  import: async () => (await import('./cli/import.ts')).importCommand,
  'serve-model': async () => (await import('./cli/serve-model.ts')).serveModelCommand,
  inspect: async () => (await import('./cli/inspect.ts')).inspectCommand,
  data: async () => (await import('./cli/data.ts')).dataCommand,
  models: async () => (await import('./cli/models.ts')).modelsCommand,
  engines: async () => (await import('./cli/engines.ts')).enginesCommand,
  doctor: async () => (await import('./cli/doctor.ts')).doctorCommand,
  studio: async () => (await import('./cli/studio.ts')).studioCommand,
  demo: async () => (await import('./cli/demo.ts')).demoCommand,
};

/** `effilora` with every command on it, or with the one that is named alone. */
export async function commandLine(name = ''): Promise<Command> {
  const program = new Command('effilora')
    .description('Fine-tune language models on your own machine with EffiLoRA.')
    .addHelpText('after', '\nExit codes: 0 done, 1 a fault of the program, 2 something to mend in what was given,')
    .addHelpText('after', '130 interrupted with a checkpoint to go on from. effilora COMMAND --help shows examples.')
    .exitOverride();
  for (const load of Object.hasOwn(COMMANDS, name) ? [COMMANDS[name]!] : Object.values(COMMANDS))
    (await load())(program);
  return program;
}

/** The command line's door. Returns the exit code; `args` are the words after `effilora`. */
export async function runCommandLine(args: string[]): Promise<number> {
  // Whoever reads the output may have seen enough (`| head`).
  process.stdout.on('error', (error: NodeJS.ErrnoException) =>
    process.exit(error.code === 'EPIPE' ? EXIT.ok : EXIT.fault),
  );
  try {
    const program = await commandLine(args[0]);
    await program.parseAsync(args, { from: 'user' });
    return Number(process.exitCode ?? EXIT.ok);
  } catch (error) {
    return report(error, args.includes('--json'));
  }
}
