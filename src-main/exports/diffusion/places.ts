import type { DiffusionFile, FlowFile, UNetFile } from '../../models/diffusion/pipeline/file.ts';
import { diffusionSites } from '../../models/diffusion/pipeline/network.ts';
import { unetNames } from '../../models/diffusion/single/names.ts';
import type { DiffusionPart, DiffusionSiteShape } from '../../models/diffusion/site.ts';
import { textSites } from '../../models/diffusion/text/weights.ts';
import { unetLayout } from '../../models/diffusion/unet/layout.ts';

/** A linear or convolution of a diffusion model, and what files of LoRAs call it. */
export interface LoraPlace extends DiffusionSiteShape {
  /** the model's file has it as a convolution of 1 x 1, weight [out, in, 1, 1] */
  isPointwise: boolean;
  /** diffusers' name, e.g. `unet.down_blocks.0.attentions.0.proj_in` */
  diffusers: string;
  /** kohya's name, e.g. `lora_unet_down_blocks_0_attentions_0_proj_in` */
  kohya: string;
  /** every name that it is known by, those two among them */
  names: string[];
}

/** All of a model. */
export interface LoraPlaces {
  kind: DiffusionFile['kind'];
  /** what can be adapted, in the order of the forward pass */
  adapted: LoraPlace[];
  /** what is never run, and is in other programs' files all the same */
  idle: LoraPlace[];
}

/** diffusers' names of the parts. */
export const COMPONENTS: Record<DiffusionPart, string> = {
  unet: 'unet',
  transformer: 'transformer',
  text: 'text_encoder',
  text_2: 'text_encoder_2',
};

const underscored = (name: string) => name.replaceAll('.', '_');

/** Where a model's LoRAs may lie; nothing is read or loaded. */
export function loraPlaces(
  file: Pick<UNetFile, 'kind' | 'unet' | 'texts' | 'tensors'> | Pick<FlowFile, 'kind' | 'transformer'>,
): LoraPlaces {
  if (file.kind === 'z-image')
    return {
      kind: file.kind,
      adapted: diffusionSites(file).map((site) => ({ ...site, ...flowPlace(site) })),
      idle: [],
    };
  const { kind, unet, texts } = file;
  const pointwise = new Set(
    (file.tensors.unet ?? [])
      .filter(({ shape }) => shape.length === 4)
      .map(({ name }) => name.replace(/\.weight$/, '')),
  );
  const original = unetNames(unetLayout(unet));
  const placeOf = (site: DiffusionSiteShape): LoraPlace => {
    const isPointwise = site.group === 'unet' && pointwise.has(site.path);
    return {
      ...site,
      isPointwise,
      ...(site.group === 'unet' ? unetPlace(site, kind, original) : textPlace(site, kind)),
    };
  };
  const sites = diffusionSites(file);
  const run = new Set(sites.map(keyOf));
  const all = texts.flatMap(({ config, group }) => textSites(config, group));
  return {
    kind,
    adapted: sites.map(placeOf),
    idle: all.filter((site) => !run.has(keyOf(site))).map(placeOf),
  };
}

const keyOf = ({ group, path }: DiffusionSiteShape) => `${group}.${path}`;

/** kohya's scripts have their own UNet for SDXL, with the first Stable Diffusion's names, and diffusers' for the others. */
function unetPlace({ path }: DiffusionSiteShape, kind: LoraPlaces['kind'], original: (name: string) => string) {
  const diffusers = `${COMPONENTS.unet}.${path}`;
  const [own, first] = [`lora_unet_${underscored(path)}`, `lora_unet_${underscored(original(`${path}.weight`).replace(/\.weight$/, ''))}`]; // prettier-ignore
  return {
    ...{ diffusers, kohya: kind === 'sdxl' ? first : own },
    // Before PEFT, diffusers kept its LoRAs in processors: `attn1.processor.to_out_lora.up`.
    names: [diffusers, own, first, diffusers.replace(/\.to_(q|k|v|out)(\.0)?$/, '.processor.to_$1')],
  };
}

/** A flow's transformer: kohya's form as diffusers and ComfyUI read it, who have another name before the transformer's own, too. */
function flowPlace({ path }: DiffusionSiteShape) {
  const [diffusers, kohya] = [`${COMPONENTS.transformer}.${path}`, `lora_unet_${underscored(path)}`];
  return { isPointwise: false, diffusers, kohya, names: [diffusers, kohya, `diffusion_model.${path}`] };
}

function textPlace({ group, path }: DiffusionSiteShape, kind: LoraPlaces['kind']) {
  const component = COMPONENTS[group];
  const prefixes = group === 'text_2' ? ['lora_te2_'] : kind === 'sdxl' ? ['lora_te1_', 'lora_te_'] : ['lora_te_', 'lora_te1_']; // prettier-ignore
  // transformers' later versions leave the model's own name out.
  const paths = [path, path.replace(/^text_model\./, '')];
  const diffusers = paths.map((each) => `${component}.${each}`);
  return {
    ...{ diffusers: diffusers[0]!, kohya: prefixes[0]! + underscored(path) },
    names: [
      ...diffusers,
      ...diffusers.map((each) => each.replace(/\.self_attn\.(q|k|v|out)_proj$/, '.self_attn.to_$1')),
      ...prefixes.flatMap((prefix) => paths.map((each) => prefix + underscored(each))),
    ],
  };
}
