// `effilora doctor` alone, for the kit: the other commands would bring along the whole studio.
import { Command } from 'commander';
import { doctorCommand } from '../../src-main/cli/doctor.ts';

const program = new Command('effilora');
doctorCommand(program);
await program.parseAsync(['doctor', '--json'], { from: 'user' });
