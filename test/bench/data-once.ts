// One `effilora data` in a process of its own: argv are its arguments. Prints seconds from the start of the command, and the peak of
// resident memory, bytes; the report goes where standard error goes.
import { runCommandLine } from '../../src-main/cli.ts';

console.log = console.error;
const started = performance.now();
const code = await runCommandLine(['data', ...process.argv.slice(2)]);
const seconds = (performance.now() - started) / 1000;
process.stdout.write(JSON.stringify({ code, seconds, peakBytes: 1024 * process.resourceUsage().maxRSS }));
