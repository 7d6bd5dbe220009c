import { UserError } from '../engine/types.ts';

/** Heads come in whole groups, and RoPE turns pairs. @throws UserError naming the file where that can't be */
export function checkHeads(attentionHeads: number, keyValueHeads: number, headSize: number, path: string): void {
  if (headSize % 2 === 0 && attentionHeads % keyValueHeads === 0) return;
  throw new UserError(
    `${path}: ${attentionHeads} attention heads of ${headSize} over ${keyValueHeads} key and value heads can't be; fetch it again`,
  );
}
