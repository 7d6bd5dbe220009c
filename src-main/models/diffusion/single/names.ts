import type { UNetLayout } from '../unet/layout.ts';

/** A tensor's place in a single file, by its name in diffusers. */
export type NameInFile = (name: string) => string;

/** Replaces the beginning of a name; the longest that fits counts. */
function replacing(begins: Map<string, string>, inside: [RegExp, string][]): NameInFile {
  const known = [...begins].sort(([a], [b]) => b.length - a.length);
  return (name) => {
    const [from, to] = known.find(([begin]) => name.startsWith(`${begin}.`)) ?? ['', ''];
    const rest = name.slice(from.length);
    return to + inside.reduce((text, [pattern, other]) => text.replace(pattern, other), rest);
  };
}

/** A UNet's names as the first Stable Diffusion had them: every residual block and what is behind it is one numbered block. */
export function unetNames({ down, middle, up }: UNetLayout): NameInFile {
  const begins = new Map([
    ['time_embedding.linear_1', 'time_embed.0'],
    ['time_embedding.linear_2', 'time_embed.2'],
    ['add_embedding.linear_1', 'label_emb.0.0'],
    ['add_embedding.linear_2', 'label_emb.0.2'],
    ['conv_in', 'input_blocks.0.0'],
    ['conv_norm_out', 'out.0'],
    ['conv_out', 'out.2'],
    [middle.resnets[0]!.name, 'middle_block.0'],
    [middle.transformers[0]!.name, 'middle_block.1'],
    [middle.resnets[1]!.name, 'middle_block.2'],
  ]);
  let block = 1;
  for (const { resnets, transformers, sampler } of down) {
    resnets.forEach(({ name }, i) => {
      begins.set(name, `input_blocks.${block}.0`);
      if (transformers[i]) begins.set(transformers[i].name, `input_blocks.${block}.1`);
      block++;
    });
    if (sampler) begins.set(sampler, `input_blocks.${block++}.0.op`);
  }
  block = 0;
  for (const { resnets, transformers, sampler } of up) {
    resnets.forEach(({ name }, i) => {
      begins.set(name, `output_blocks.${block}.0`);
      if (transformers[i]) begins.set(transformers[i].name, `output_blocks.${block}.1`);
      block++;
    });
    if (sampler) begins.set(sampler, `output_blocks.${block - 1}.${transformers.length > 0 ? 2 : 1}.conv`);
  }
  return replacing(begins, [
    [/^\.norm1\.(weight|bias)$/, '.in_layers.0.$1'],
    [/^\.conv1\./, '.in_layers.2.'],
    [/^\.time_emb_proj\./, '.emb_layers.1.'],
    [/^\.norm2\.(weight|bias)$/, '.out_layers.0.$1'],
    [/^\.conv2\./, '.out_layers.3.'],
    [/^\.conv_shortcut\./, '.skip_connection.'],
  ]);
}

/** An autoencoder's names; its decoder's levels are counted from the largest pictures. */
export function vaeNames(levels: number): NameInFile {
  const begins = new Map<string, string>();
  for (const half of ['encoder', 'decoder']) {
    begins.set(`${half}.conv_norm_out`, `${half}.norm_out`);
    begins.set(`${half}.mid_block.resnets.0`, `${half}.mid.block_1`);
    begins.set(`${half}.mid_block.attentions.0`, `${half}.mid.attn_1`);
    begins.set(`${half}.mid_block.resnets.1`, `${half}.mid.block_2`);
  }
  for (let i = 0; i < levels; i++) {
    const up = levels - 1 - i;
    begins.set(`encoder.down_blocks.${i}`, `encoder.down.${i}`);
    begins.set(`encoder.down_blocks.${i}.downsamplers.0`, `encoder.down.${i}.downsample`);
    begins.set(`decoder.up_blocks.${i}`, `decoder.up.${up}`);
    begins.set(`decoder.up_blocks.${i}.upsamplers.0`, `decoder.up.${up}.upsample`);
  }
  return replacing(begins, [
    [/^\.resnets\.(\d+)\./, '.block.$1.'],
    [/(^|\.)conv_shortcut\./, '$1nin_shortcut.'],
    [/^\.group_norm\./, '.norm.'],
    [/^\.to_(q|k|v)\./, '.$1.'],
    [/^\.to_out\.0\./, '.proj_out.'],
  ]);
}

/** OpenCLIP's names of a text encoder: q, k and v are one matrix, of which this is a third. */
export function openClipNames(name: string): { name: string; third?: 0 | 1 | 2; turned?: boolean } {
  if (name === 'text_projection.weight') return { name: 'text_projection', turned: true };
  const own = name
    .replace(/^text_model\.embeddings\.token_embedding\./, 'token_embedding.')
    .replace(/^text_model\.embeddings\.position_embedding\.weight$/, 'positional_embedding')
    .replace(/^text_model\.final_layer_norm\./, 'ln_final.')
    .replace(/^text_model\.encoder\.layers\./, 'transformer.resblocks.')
    .replace(/\.layer_norm(\d)\./, '.ln_$1.')
    .replace('.mlp.fc1.', '.mlp.c_fc.')
    .replace('.mlp.fc2.', '.mlp.c_proj.')
    .replace('.self_attn.out_proj.', '.attn.out_proj.');
  const [, block, part, kind] = /^(.*)\.self_attn\.([qkv])_proj\.(weight|bias)$/.exec(own) ?? [];
  if (part === undefined) return { name: own };
  return { name: `${block}.attn.in_proj_${kind}`, third: 'qkv'.indexOf(part) as 0 | 1 | 2 };
}
