import path from 'node:path';
import type { PlainLora } from '../effilora/exports/plain-lora.ts';
import { writeGgufLora } from './gguf-lora.ts';
import { MergedTensors } from './merge.ts';
import { writeMergedGguf, type GgufFileType } from './merged-gguf.ts';
import { writeMergedSafetensors, type FloatType } from './merged-safetensors.ts';
import { writeMergedSeeing } from './merged-seeing.ts';
import { writeMmproj } from './mmproj.ts';
import type { OpenedExport } from './open-export.ts';
import { writePeft } from './peft.ts';
import { writePeftAdalora } from './peft-adalora.ts';
import { writePeftVera } from './peft-vera.ts';
import type { Progress } from './progress.ts';
import type { ExportTarget } from '../../src-preload/contract/choices.ts';
import type { ExportType, PictureTarget } from './request.ts';

/** What the files of a target are made of. */
export interface TargetParts {
  opened: OpenedExport;
  plain: PlainLora;
  /** of the export, and of its file where it has one */
  name: string;
  type: ExportType;
  progress: Progress;
}

/** Writes a plain LoRA, or the base model with it, into a folder in each target's form. */
export const WRITERS: Record<
  Exclude<ExportTarget, 'effilora' | PictureTarget>,
  (folder: string, parts: TargetParts) => Promise<void>
> = {
  peft(folder, { plain, opened }) {
    const { adapter, file, stored } = opened;
    const { name } = stored.description.baseModel;
    if (adapter.options.name === 'vera') return writePeftVera(folder, adapter, plain, name, file);
    if (adapter.options.name === 'adalora') return writePeftAdalora(folder, adapter, plain, name, file);
    return writePeft(folder, plain, name, file);
  },
  gguf: (folder, { plain, opened, name, type }) =>
    writeGgufLora(path.join(folder, `${name}.gguf`), plain, opened.file.config, name, type as 'f32' | 'f16'),
  async 'merged-safetensors'(folder, { plain, opened, type, progress }) {
    const merged = new MergedTensors(opened.file, plain);
    const tell = (done: number, total: number) => progress.at('writing', done, total);
    const write = opened.file.sees ? writeMergedSeeing : writeMergedSafetensors;
    await write(folder, opened.file, merged, type as FloatType, tell);
  },
  async 'merged-gguf'(folder, { plain, opened, name, type, progress }) {
    const merged = new MergedTensors(opened.file, plain);
    const tell = (done: number, total: number) => progress.at('writing', done, total);
    await writeMergedGguf(mergedFile(folder, name), opened.file, merged, name, type as GgufFileType, tell);
    const { sees } = opened.file;
    if (sees) await writeMmproj(path.join(folder, `mmproj-${name}.gguf`), sees, merged);
  },
};

const mergedFile = (folder: string, name: string) => path.join(folder, `${name}.gguf`);

/** Where a merged target's model can be opened; undefined for the others. */
export function modelOf(to: ExportTarget, folder: string, name: string): string | undefined {
  if (to === 'merged-safetensors') return folder;
  return to === 'merged-gguf' ? mergedFile(folder, name) : undefined;
}
