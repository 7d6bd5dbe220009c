import { runCommandLine } from '../../src-main/cli.ts';

// The command line behind its bin's set-up, which a built one (processes.ts) has no need of.
process.exitCode = await runCommandLine(process.argv.slice(2));
