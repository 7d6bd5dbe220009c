import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, expect, it } from 'vitest';

const execute = promisify(execFile);
const addon = fileURLToPath(new URL('../../src-main/engine/tensorflow/addon/', import.meta.url));
const tiles = fileURLToPath(new URL('./tiles/', import.meta.url));
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'effilora-tiles-'));
afterAll(() => fs.rmSync(folder, { recursive: true }));

const flags = fs.existsSync('/proc/cpuinfo') ? fs.readFileSync('/proc/cpuinfo', 'utf8') : '';
const missing = flags.includes('avx512_vnni') ? '' : ': the registers beside the tiles need AVX-512 VNNI';

// Few processors have the tiles, and few AVX-VNNI; their instructions as loops, all else as it is compiled for them.
it.skipIf(missing)(`products in integers on AMX tiles and by AVX-VNNI have the bits of AVX2's${missing}`, async () => {
  const compile = (source: string, object: string, more: string[]) =>
    execute(process.env.CXX ?? 'g++', [
      ...['-c', '-std=c++17', '-w', '-O1', '-ffp-contract=off', '-fno-math-errno', '-fno-trapping-math', `-I${addon}`],
      ...more,
      ...[source, '-o', path.join(folder, object)],
    ]);
  const product = path.join(addon, 'integer-product.cc');
  const emulated = (header: string) => ['-include', path.join(tiles, header)];
  await Promise.all([
    compile(product, 'a.o', [
      ...emulated('emulated.h'),
      ...['-DSTUDIO_TILES', '-DSTUDIO_INTEGERS=integersAmx', '-march=cascadelake'],
    ]),
    compile(product, 'e.o', [
      ...emulated('emulated-vnni.h'),
      ...['-DSTUDIO_INTEGERS=integersAvxVnni', '-march=x86-64-v3'],
    ]),
    compile(product, 'b.o', ['-DSTUDIO_INTEGERS=integersAvx2', '-march=x86-64-v3']),
    compile(path.join(addon, 'threads.cc'), 'c.o', []),
    compile(path.join(tiles, 'compare.cc'), 'd.o', []),
  ]);
  const program = path.join(folder, 'compare');
  const objects = ['a.o', 'b.o', 'c.o', 'd.o', 'e.o'].map((name) => path.join(folder, name));
  await execute(process.env.CXX ?? 'g++', [...objects, '-lpthread', '-o', program]);
  expect((await execute(program)).stdout).toBe('compared\n');
});
