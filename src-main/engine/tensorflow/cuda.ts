import fs from 'node:fs';
import fsp from 'node:fs/promises';
import path from 'node:path';
import { downloadWheel, extractWheel, type Wheel } from '../python-wheel.ts';

/** The CUDA 12 libraries of TensorFlow's extra `and-cuda`, by wheel. */
const TAGS = {
  python: '3.11',
  abi: 'none',
  platforms: ['manylinux_2_27_x86_64', 'manylinux2014_x86_64', 'manylinux2010_x86_64'],
};
const CUDA_WHEELS: [name: string, version: string, sha256: string][] = [
  ['nvidia-cublas-cu12', '12.9.3.13', 'd7d51055f161b317c7105ddaae90e71eda059026074ffef93cf7cde2886bfe72'],
  ['nvidia-cuda-cupti-cu12', '12.8.90', 'ea0cb07ebda26bb9b29ba82cda34849e73c166c18162d3913575b0c9db9a6182'],
  ['nvidia-cuda-nvcc-cu12', '12.9.86', '5d6a0d32fdc7ea39917c20065614ae93add6f577d840233237ff08e9a38f58f0'],
  ['nvidia-cuda-nvrtc-cu12', '12.9.86', '210cf05005a447e29214e9ce50851e83fc5f4358df8b453155d5e1918094dcb4'],
  ['nvidia-cuda-runtime-cu12', '12.9.79', '25bba2dfb01d48a9b59ca474a1ac43c6ebf7011f1b0b8cc44f54eb6ac48a96c3'],
  ['nvidia-cudnn-cu12', '9.10.2.21', '949452be657fa16687d0930933f032835951ef0892b37d2d53824d1a84dc97a8'],
  ['nvidia-cufft-cu12', '11.4.1.4', 'c67884f2a7d276b4b80eb56a79322a95df592ae5e765cf1243693365ccab4e28'],
  ['nvidia-curand-cu12', '10.3.10.19', '49b274db4780d421bd2ccd362e1415c13887c53c214f0d4b761752b8f9f6aa1e'],
  ['nvidia-cusolver-cu12', '11.7.5.82', '15da72d1340d29b5b3cf3fd100e3cd53421dde36002eda6ed93811af63c40d88'],
  ['nvidia-cusparse-cu12', '12.5.10.65', '73060ce019ac064a057267c585bf1fd5a353734151f87472ff02b2c5c9984e78'],
  ['nvidia-nccl-cu12', '2.32.3', 'bb94b2348e4861d5e8aa00b36c3d12d9bdf9c6369b82cbb723de0b582280a21c'],
  ['nvidia-nvjitlink-cu12', '12.9.86', 'e3f1171dbdc83c5932a45f0f4c99180a70de9bd2718c1ab77d14104f6d7147f9'],
];

/**
 * Lays CUDA's libraries beside libtensorflow, whose RUNPATH holds $ORIGIN: found there without any variable set.
 * They are linked into `tensorflow/` from `nvidia/`.
 */
export async function installCuda(stage: string, wheels: string, log: (line: string) => void): Promise<void> {
  for (const [name, version, sha256] of CUDA_WHEELS) {
    log(`Fetching ${name} ${version}`);
    const wheel: Wheel = { name, version, tags: TAGS, sha256 };
    const file = await downloadWheel(wheel, wheels);
    await extractWheel(file, stage, ['nvidia/']);
    await fsp.rm(file);
  }
  const nvidia = path.join(stage, 'nvidia');
  for (const part of await fsp.readdir(nvidia)) {
    const folder = path.join(nvidia, part, 'lib');
    for (const library of fs.existsSync(folder) ? await fsp.readdir(folder) : [])
      if (library.includes('.so'))
        await fsp.symlink(path.join('..', 'nvidia', part, 'lib', library), path.join(stage, 'tensorflow', library));
  }
}
