import type { LoraPlace, LoraPlaces } from './places.ts';

/** What a tensor is of a linear's LoRA. `scale`: DoRA's magnitudes as kohya's scripts name them. */
export type Role = 'A' | 'B' | 'alpha' | 'magnitude' | 'scale';

export interface Key {
  place: LoraPlace;
  role: Role;
  /** the linear as the file names it */
  module: string;
}

/** PEFT's ends (an adapter's name may stand before `weight`), diffusers' own before it, kohya's. */
const ENDS: [RegExp, Role][] = [
  [/\.lora_A(\.(?!weight$)[\w-]+)?\.weight$/, 'A'],
  [/\.lora_B(\.(?!weight$)[\w-]+)?\.weight$/, 'B'],
  [/(?:[._]lora|\.lora_linear_layer)\.down\.weight$/, 'A'],
  [/(?:[._]lora|\.lora_linear_layer)\.up\.weight$/, 'B'],
  [/\.lora_down\.weight$/, 'A'],
  [/\.lora_up\.weight$/, 'B'],
  [/\.alpha$/, 'alpha'],
  [/\.lora_magnitude_vector(\.[\w-]+){0,2}$/, 'magnitude'],
  [/\.dora_scale$/, 'scale'],
];

const MERGE = 'merge it into its base model where it was made and open the result as a model';
const CONVOLUTION =
  /resnets|\.conv|_conv|conv_(in|out|shortcut)|(down|up)samplers|(in|out)_layers|skip_connection|_op\b|_op\.|lora_mid/;

/** Finds a tensor's place by the names that the model's own linears have in files. */
export class Keys {
  private readonly known: Map<string, LoraPlace>;
  private readonly idle: Map<string, LoraPlace>;

  constructor(private readonly places: LoraPlaces) {
    const byName = (all: LoraPlace[]) => new Map(all.flatMap((place) => place.names.map((name) => [name, place])));
    this.known = byName(places.adapted);
    this.idle = byName(places.idle);
  }

  /** `idle`: of a linear that is never run; a text: why it can't be held, as the end of a sentence. */
  find(name: string): Key | 'idle' | string {
    for (const [end, role] of ENDS) {
      const module = name.replace(end, '');
      if (module === name) continue;
      const place = this.known.get(module);
      if (place) return { place, role, module };
      if (this.idle.has(module)) return 'idle';
    }
    return this.why(name);
  }

  private why(name: string): string {
    const quoted = `"${name.slice(0, 120)}"`;
    if (/\.lokr_|\.hada_|\.oft_|\.glora|\.(a|b)[12]\.weight$|on_input$/.test(name))
      return `holds ${quoted}, which belongs to a LoHa, LoKr or another kind of adapter; only plain LoRA and DoRA are read; ${MERGE}`;
    if (/\.(diff|diff_b|w_norm|b_norm|bias)$/.test(name) || /^bundle_emb/.test(name))
      return `holds ${quoted}, which is no part of a LoRA; ${MERGE}`;
    if (CONVOLUTION.test(name))
      return `adapts ${quoted}; of convolutions and what is beside them only those of residual blocks and between levels are read; ${MERGE}`;
    if (this.places.kind === 'sd' && /^(lora_te2_|text_encoder_2\.)/.test(name))
      return `adapts ${quoted}, a second text encoder: it was made for SDXL, and this model is a Stable Diffusion 1 or 2`;
    if (/^(transformer\.|diffusion_model\.|lora_transformer_|lora_unet_(double|single)_blocks)/.test(name))
      return `adapts ${quoted}: it was made for a model with a transformer in the UNet's place`;
    return `adapts ${quoted}, which is no linear of this model; was it made for another one?`;
  }
}
