#!/usr/bin/env node
import { setUp } from '../scripts/setup.mjs';

await setUp({ again: false });
const { runCommandLine } = await import('../src-main/cli.ts');
process.exitCode = await runCommandLine(process.argv.slice(2));
