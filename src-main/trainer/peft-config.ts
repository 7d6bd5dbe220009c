import { z } from 'zod';
import { UserError } from '../engine/types.ts';

const strings = z.array(z.string()).max(100_000);
const names = z.union([z.string(), strings]).nullish();
const isSet = (value: unknown) =>
  !(value === undefined || value === null || value === false || value === '' || isEmpty(value));
const isEmpty = (value: unknown) => typeof value === 'object' && value !== null && Object.keys(value).length === 0;

/** The fields of PEFT's adapter_config.json (LoraConfig of PEFT 0.21) that decide what a LoRA computes. */
const configSchema = z.looseObject({
  peft_type: z.string(),
  r: z.number().int().positive(),
  lora_alpha: z.number().positive(),
  lora_dropout: z.number().min(0).lt(1).nullish(),
  use_rslora: z.boolean().nullish(),
  use_dora: z.boolean().nullish(),
  init_lora_weights: z.union([z.boolean(), z.string()]).nullish(),
  target_modules: names,
  exclude_modules: names,
  layers_to_transform: z.union([z.number().int(), z.array(z.number().int()).max(100_000)]).nullish(),
  layers_pattern: names,
  rank_pattern: z.record(z.string(), z.number().int().positive()).nullish(),
  alpha_pattern: z.record(z.string(), z.number()).nullish(),
  base_model_name_or_path: z.string().nullish(),
});
export type PeftConfig = z.infer<typeof configSchema>;

/** Fields that say where the adapter comes from, or how it was begun or trained, and nothing of what it computes. */
const WITHOUT_EFFECT = new Set(
  (
    'auto_mapping revision task_type inference_mode peft_version runtime_config bias fan_in_fan_out loftq_config eva_config ' +
    'corda_config lora_ga_config megatron_config megatron_core qalora_group_size velora_config ensure_weight_tying ' +
    'merge_weights enable_lora lora_dtype lorap_lr_ratio lorap_emb_lr'
  ).split(' '),
);

const MERGE =
  'merge it into its base model in PEFT (merge_and_unload) and open the result as a model, or train it without';

/** Fields that change what is computed in ways that a LoRA on decoder linears can't. */
const REFUSED: Record<string, string> = {
  modules_to_save: `it replaces whole modules of the model, not only linears; ${MERGE}`,
  trainable_token_indices: `it changes rows of the token embedding; ${MERGE}`,
  target_parameters: `it adapts parameters (of experts) that are no linears; ${MERGE}`,
  alora_invocation_tokens: 'an activated LoRA (aLoRA) acts only behind its invocation tokens; train it as a plain LoRA',
  lora_bias: `it adds a bias to every adapted linear; ${MERGE}`,
  layer_replication: `its base model has layers stacked anew; ${MERGE}`,
  use_qalora: 'QA-LoRA is tied to a GPTQ model; train it as a plain LoRA',
  use_bdlora: 'BD-LoRA has block-diagonal matrices; train it as a plain LoRA',
  monteclora_config: 'MonteCLoRA samples its weights; train it as a plain LoRA',
  arrow_config: 'Arrow mixes several adapters by a router of its own; open one of them',
  kasa_config: `KaSA takes singular components out of the base model; ${MERGE}`,
};

/** The ways to begin a LoRA that leave the base model as it is. */
const PLAIN_STARTS: (string | boolean)[] = [true, false, 'gaussian', 'eva', 'orthogonal', 'mica'];

/**
 * Checks the whole of PEFT's adapter_config.json.
 * @throws UserError naming the field that can't be honoured, and what to do
 */
export function parsePeftConfig(json: unknown, file: string): PeftConfig {
  const type = (json as { peft_type?: unknown } | null)?.peft_type;
  if (typeof type === 'string' && type !== 'LORA')
    throw new UserError(`${file}: the adapter is of PEFT's type ${type.slice(0, 40)}; only LORA is read`);
  const parsed = configSchema.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw new UserError(
      `${file}, field ${issue.path.join('.') || '(all)'}: ${issue.message}; only PEFT's LoRA is read`,
    );
  }
  const config = parsed.data;
  for (const [field, value] of Object.entries(config)) {
    if (!isSet(value) || field in configSchema.shape || WITHOUT_EFFECT.has(field)) continue;
    throw new UserError(
      `${file} sets ${field.slice(0, 80)}, which can't be honoured: ${REFUSED[field] ?? 'the field is not known here; save the adapter without it'}`,
    );
  }
  const start = config.init_lora_weights ?? true;
  if (!PLAIN_STARTS.includes(typeof start === 'string' ? start.toLowerCase() : start))
    throw new UserError(
      `${file}: begun with init_lora_weights "${String(start).slice(0, 40)}", the adapter belongs to a base model whose weights PEFT changes as it loads; save it again with PEFT's save_pretrained(…, path_initial_model_for_weight_conversion=…), which makes a plain LoRA of it, or merge it into its base model there (merge_and_unload)`,
    );
  return config;
}
