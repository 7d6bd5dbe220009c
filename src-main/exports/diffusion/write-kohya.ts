import { UserError } from '../../engine/types.ts';
import type { FlowFile, UNetFile } from '../../models/diffusion/pipeline/file.ts';
import { encodeSafetensors, type SafetensorsTensor } from '../../models/safetensors.ts';
import { modelspecOf } from './modelspec.ts';
import { recognizable, shapesOf, type LoraPair } from './pairs.ts';
import type { LoraPlaces } from './places.ts';

/** What the header says. */
export interface KohyaHeader {
  /** what A1111 and Forge call it: `<lora:NAME:1>` */
  name: string;
  base: Pick<UNetFile, 'name' | 'kind' | 'unet' | 'noise'> | Pick<FlowFile, 'name' | 'kind' | 'noise'>;
}

/**
 * A LoRA as kohya's scripts keep it, f32: for A1111, Forge, ComfyUI.
 * @throws UserError for DoRA, which these programs take in different ways
 */
export function encodeKohyaLora(pairs: LoraPair[], places: LoraPlaces, header: KohyaHeader): Uint8Array {
  if (pairs.length === 0) throw new UserError('The adapter changes no linear; there is nothing to write');
  // ComfyUI divides by the norm of what goes to each output, A1111 by that of what comes from each input, diffusers leaves it out.
  if (pairs.some(({ magnitude }) => magnitude))
    throw new UserError('The adapter is trained with DoRA, which A1111, ComfyUI and diffusers read from a kohya file in different ways; export it for diffusers, or merged'); // prettier-ignore
  return encodeSafetensors(recognizable(pairs, places).flatMap(tensorsOf), kohyaMetadata(pairs, header));
}

function tensorsOf(pair: LoraPair): SafetensorsTensor[] {
  const { a, b } = shapesOf(pair);
  const f32 = (name: string, shape: number[], data: Float32Array): SafetensorsTensor => ({
    ...{ name: `${pair.place.kohya}.${name}`, dtype: 'F32', shape, data },
  });
  return [
    // Always: without it some programs take the rank and others refuse.
    f32('alpha', [], Float32Array.of(pair.alpha)),
    f32('lora_down.weight', a, pair.a),
    f32('lora_up.weight', b, pair.b),
  ];
}

function kohyaMetadata(pairs: LoraPair[], { name, base }: KohyaHeader): Record<string, string> {
  const same = (values: number[]) => (new Set(values).size === 1 ? String(values[0]) : 'Dynamic');
  return {
    format: 'pt',
    ...(base.kind === 'z-image' ? Z_IMAGE : unetMetadata(base)),
    ss_network_module: 'networks.lora',
    ss_network_dim: same(pairs.map(({ rank }) => rank)),
    ss_network_alpha: same(pairs.map(({ alpha }) => alpha)),
    ss_output_name: name,
    ss_sd_model_name: base.name,
    'modelspec.sai_model_spec': '1.0.0',
    'modelspec.title': name,
  };
}

const Z_IMAGE = { ss_base_model_version: 'z_image', 'modelspec.architecture': 'z-image/lora' };

/** A1111 tells the kind of model by ss_base_model_version and ss_v2, others by modelspec.architecture. */
function unetMetadata(base: Pick<UNetFile, 'kind' | 'unet' | 'noise'>): Record<string, string> {
  const { isXl, isSecond, isVelocity, architecture, metadata } = modelspecOf(base);
  const version = isXl ? 'sdxl_base_v1-0' : isSecond ? 'sd_v2' : 'sd_v1';
  return {
    ss_base_model_version: version + (isVelocity && !isXl ? '_v' : ''),
    ss_v2: isSecond ? 'True' : 'False',
    'modelspec.architecture': `${architecture}/lora`,
    ...metadata,
  };
}
