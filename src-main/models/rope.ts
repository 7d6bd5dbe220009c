import type { ModelConfig, RopeConfig, TokenBatch } from './types.ts';

/** Angles of one position are position * frequency; cos and sin are multiplied by `attentionFactor` (YaRN). */
export interface Frequencies {
  /** [headSize / 2] */
  inverse: Float64Array;
  attentionFactor: number;
}

/**
 * RoPE's frequencies theta^(-2i / d) (arXiv 2104.09864) under a scaling variant, as transformers' modeling_rope_utils gives them.
 * @param length the longest sequence in tokens, for `dynamic` and `longrope`
 */
export function ropeFrequencies(headSize: number, rope: RopeConfig, length: number, local = false): Frequencies {
  const theta = local ? (rope.localTheta ?? rope.theta) : rope.theta;
  const inverse = Float64Array.from({ length: headSize / 2 }, (_, i) => theta ** ((-2 * i) / headSize));
  const scaling = local ? undefined : rope.scaling;
  switch (scaling?.type) {
    case undefined:
      return { inverse, attentionFactor: 1 };
    case 'linear':
      return { inverse: inverse.map((f) => f / scaling.factor), attentionFactor: 1 };
    case 'factors':
      return {
        inverse: inverse.map((f, i) => f / (scaling.factors[i] ?? 1)),
        attentionFactor: scaling.attentionFactor ?? 1,
      };
    case 'longrope': {
      const divisors = length > scaling.originalContextLength ? scaling.long : scaling.short;
      return { inverse: inverse.map((f, i) => f / divisors[i]!), attentionFactor: scaling.attentionFactor };
    }
    case 'dynamic': {
      const { factor, originalContextLength: original } = scaling;
      const longest = Math.max(length, original);
      const base = theta * ((factor * longest) / original - (factor - 1)) ** (headSize / (headSize - 2));
      return { inverse: inverse.map((_, i) => base ** ((-2 * i) / headSize)), attentionFactor: 1 };
    }
    case 'llama3': {
      const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalContextLength: original } = scaling;
      const scaled = inverse.map((f) => {
        const turns = (original * f) / (2 * Math.PI);
        const smooth = Math.min(1, Math.max(0, (turns - low) / (high - low)));
        return ((1 - smooth) * f) / factor + smooth * f;
      });
      return { inverse: scaled, attentionFactor: 1 };
    }
    case 'yarn':
      return yarn(inverse, headSize, theta, scaling);
  }
}

/** YaRN (arXiv 2309.00071): high frequencies stay, low ones are interpolated, a ramp between. */
function yarn(
  inverse: Float64Array,
  headSize: number,
  theta: number,
  scaling: Extract<RopeConfig['scaling'], { type: 'yarn' }>,
): Frequencies {
  const { factor, originalContextLength: original, betaFast = 32, betaSlow = 1 } = scaling;
  const dimension = (turns: number) => (headSize * Math.log(original / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const [start, end] = [dimension(betaFast), dimension(betaSlow)];
  const low = Math.max(0, scaling.truncate === false ? start : Math.floor(start));
  const high = Math.min(headSize - 1, scaling.truncate === false ? end : Math.ceil(end));
  const span = high === low ? 0.001 : high - low;
  const mixed = inverse.map((f, i) => {
    const ramp = Math.min(1, Math.max(0, (i - low) / span));
    return (f / factor) * ramp + f * (1 - ramp);
  });
  const attentionFactor = scaling.attentionFactor ?? (factor > 1 ? 0.1 * Math.log(factor) + 1 : 1);
  return { inverse: mixed, attentionFactor };
}

/** cos and sin of every token's angles, each [tokens, headSize / 2]. With `axes`, a frequency turns by its section's (arXiv 2409.12191). */
export function ropeTables(
  config: ModelConfig,
  { positions, axes }: Pick<TokenBatch, 'positions' | 'axes'>,
  local: boolean,
): { cos: Float32Array; sin: Float32Array } {
  const tokens = positions.length;
  const longest = positions.reduce((most, position) => Math.max(most, position + 1), 1);
  const { inverse, attentionFactor } = ropeFrequencies(config.headSize, config.rope, longest, local);
  const half = inverse.length;
  const axisOf = axes && Int32Array.from(inverse, (_, i) => sectionOf(i, config.rope.sections!));
  const cos = new Float32Array(tokens * half);
  const sin = new Float32Array(tokens * half);
  for (let token = 0; token < tokens; token++)
    for (let i = 0; i < half; i++) {
      const angle = (axisOf ? axes[axisOf[i]! * tokens + token]! : positions[token]!) * inverse[i]!;
      cos[token * half + i] = Math.cos(angle) * attentionFactor;
      sin[token * half + i] = Math.sin(angle) * attentionFactor;
    }
  return { cos, sin };
}

/** Which of the sections, laid end to end, a frequency lies in. */
const sectionOf = (i: number, [time, row]: NonNullable<RopeConfig['sections']>) =>
  Number(i >= time) + Number(i >= time + row);
