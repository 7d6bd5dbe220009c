#!/usr/bin/env node
import { setUp } from '../scripts/setup.mjs';

await setUp();
await import('../src-main/cli.ts');
