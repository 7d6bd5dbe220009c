import fs from 'node:fs';
import path from 'node:path';
import { toBfloat } from '../../src-main/models/floats.ts';
import { encodeSafetensors } from '../../src-main/models/safetensors.ts';

/** What a made model sees with: a SigLIP tower of these widths (lengths in pixels), `scale` x `scale` patches a token of a picture. */
export interface TowerShapes {
  hidden: number;
  inner: number;
  layers: number;
  heads: number;
  imageSize: number;
  patchSize: number;
  scale: number;
}

/** SmolLM2-135M's width and tokens that texts never have. */
const LANGUAGE_WIDTH = 576;
export const IMAGE_TOKEN = 4;
const RENAMED = { 4: '<image>', 6: '<fake_token_around_image>', 7: '<global-img>', 16: '<end_of_utterance>' };
const TEMPLATE = `{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ '<image>' }}{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}{{ '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}`;

/** How many of the language model's tokens a picture becomes. */
export const pictureTokens = ({ imageSize, patchSize, scale }: TowerShapes) => (imageSize / patchSize / scale) ** 2;

/** Writes a folder of Idefics3's form: SmolLM2-135M behind a tower and a connector of these shapes, whose weights are a seeded noise in bf16, as such models lie. */
export function writeSeeingModel(folder: string, shapes: TowerShapes): string {
  const { hidden, inner, layers, heads, imageSize, patchSize, scale } = shapes;
  const json = (name: string, content: object) => fs.writeFileSync(path.join(folder, name), JSON.stringify(content));
  fs.mkdirSync(folder, { recursive: true });
  const vision_config = {
    ...{ hidden_size: hidden, intermediate_size: inner, num_hidden_layers: layers, num_attention_heads: heads },
    ...{ image_size: imageSize, patch_size: patchSize, hidden_act: 'gelu_pytorch_tanh', layer_norm_eps: 1e-6 },
    model_type: 'idefics3_vision',
  };
  json('config.json', {
    ...{ model_type: 'idefics3', image_token_id: IMAGE_TOKEN, scale_factor: scale, vision_config },
    ...{ text_config: { hidden_size: LANGUAGE_WIDTH }, effilora_text_model: 'smollm2-135m' },
  });
  json('processor_config.json', { processor_class: 'Idefics3Processor', image_seq_len: pictureTokens(shapes) });
  json('preprocessor_config.json', {
    ...{ image_processor_type: 'Idefics3ImageProcessor', do_image_splitting: false },
    ...{ size: { longest_edge: imageSize }, max_image_size: { longest_edge: imageSize }, resample: 1 },
    ...{ image_mean: [0.5, 0.5, 0.5], image_std: [0.5, 0.5, 0.5], rescale_factor: 1 / 255 },
    ...{ do_resize: true, do_rescale: true, do_normalize: true, do_pad: true, do_convert_rgb: true },
  });
  const tokens = Object.entries(RENAMED).map(([id, content]) => [id, { content, special: true }]);
  json('tokenizer_config.json', { added_tokens_decoder: Object.fromEntries(tokens) as object });
  fs.writeFileSync(path.join(folder, 'chat_template.jinja'), TEMPLATE);
  fs.writeFileSync(path.join(folder, 'model.safetensors'), encodeSafetensors(tensorsOf(shapes)));
  return folder;
}

function tensorsOf({ hidden, inner, layers, imageSize, patchSize, scale }: TowerShapes) {
  let state = 1;
  const noise = () => ((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32 - 0.5) * 0.06;
  const tensor = (name: string, shape: number[], value: () => number = noise) => {
    const data = new Float32Array(shape.reduce((product, size) => product * size, 1));
    return { name: `model.${name}`, dtype: 'BF16' as const, shape, data: Uint16Array.from(data.map(value), toBfloat) };
  };
  const linear = (name: string, out: number, from: number) => [
    tensor(`${name}.weight`, [out, from]),
    tensor(`${name}.bias`, [out]),
  ];
  const norm = (name: string) => [tensor(`${name}.weight`, [hidden], () => 1), tensor(`${name}.bias`, [hidden])];
  const block = (layer: string) => [
    ...norm(`${layer}.layer_norm1`),
    ...['q', 'k', 'v', 'out'].flatMap((name) => linear(`${layer}.self_attn.${name}_proj`, hidden, hidden)),
    ...norm(`${layer}.layer_norm2`),
    ...linear(`${layer}.mlp.fc1`, inner, hidden),
    ...linear(`${layer}.mlp.fc2`, hidden, inner),
  ];
  const embeddings = 'vision_model.embeddings';
  return [
    tensor(`${embeddings}.patch_embedding.weight`, [hidden, 3, patchSize, patchSize]),
    tensor(`${embeddings}.patch_embedding.bias`, [hidden]),
    tensor(`${embeddings}.position_embedding.weight`, [(imageSize / patchSize) ** 2, hidden]),
    ...Array.from({ length: layers }, (_, i) => block(`vision_model.encoder.layers.${i}`)).flat(),
    ...norm('vision_model.post_layernorm'),
    tensor('connector.modality_projection.proj.weight', [LANGUAGE_WIDTH, hidden * scale ** 2]),
  ];
}
