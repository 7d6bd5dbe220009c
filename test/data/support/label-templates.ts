import fs from 'node:fs';
import path from 'node:path';

/** A template with what it writes of an answer, told apart from it: by the message, and whether it is the last. */
export interface LabelTemplate {
  source: string;
  answer: (content: string, last: boolean) => string;
}

export const REASON = fs.readFileSync(path.join(import.meta.dirname, '../fixtures/thoughts.jinja'), 'utf8');

export const TEMPLATES: Record<string, LabelTemplate> = {
  ChatML: {
    source: "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}", // prettier-ignore
    answer: (content) => `${content}<|im_end|>\n`,
  },
  'one that trims and closes with eos': {
    source: "{% for m in messages %}{% if m.role == 'user' %}{{ bos_token + '[INST] ' + m.content.strip() + ' [/INST]' }}{% else %}{{ ' ' + m.content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}", // prettier-ignore
    answer: (content) => ` ${content.trim()} </s>`,
  },
  'one that writes a thought in the last turn alone': {
    source: REASON,
    answer: (content, last) => `${last ? '<think>\n\n</think>\n\n' : ''}${content.replace(/^\n+/, '')}<|im_end|>\n`,
  },
  'one that ends the text with more than the turn': {
    source: "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% else %}{{ eos_token }}{% endif %}", // prettier-ignore
    answer: (content, last) => `${content}<|im_end|>${last ? '</s>' : ''}`,
  },
  'one that writes eos between turns alone': {
    source: "{% for m in messages %}{{ m.role + ': ' + m.content }}{% if m.role == 'assistant' and not loop.last %}{{ eos_token }}{% else %}{{ '\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}", // prettier-ignore
    answer: (content, last) => `${content}${last ? '\n' : '</s>'}`,
  },
  'one with generation blocks': {
    source: "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}", // prettier-ignore
    answer: (content) => `${content}<|im_end|>\n`,
  },
  'Mistral’s form': {
    source: "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' + m.content + ' [/INST]' }}{% else %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}", // prettier-ignore
    answer: (content) => ` ${content}</s>`,
  },
  'Gemma’s form': {
    source: "{{ bos_token }}{% for m in messages %}{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\n' + m.content | trim + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}", // prettier-ignore
    answer: (content) => `${content.trim()}<end_of_turn>\n`,
  },
  'Llama 3’s form': {
    source: "{% for m in messages %}{% set content = '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n' + m.content | trim + '<|eot_id|>' %}{% if loop.first %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}", // prettier-ignore
    answer: (content) => `${content.trim()}<|eot_id|>`,
  },
  'DeepSeek’s form': {
    source: "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '<｜User｜>' + m.content }}{% else %}{{ '<｜Assistant｜>' + m.content.split('</think>')[-1] + '<｜end of sentence｜>' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<｜Assistant｜>' }}{% endif %}", // prettier-ignore
    answer: (content) => `${content}<｜end of sentence｜>`,
  },
  'Phi’s form': {
    source: "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content + '<|end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}", // prettier-ignore
    answer: (content, last) => `${content}<|end|>\n${last ? '</s>' : ''}`,
  },
  'Qwen’s form with thoughts': {
    source: "{% set ns = namespace(last=0) %}{% for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{% if m.role == 'assistant' and loop.index0 > ns.last %}{{ '<think>\n' + (m.reasoning_content or '') + '\n</think>\n\n' }}{% endif %}{{ m.content.lstrip('\n') + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}", // prettier-ignore
    answer: (content, last) => `${last ? '<think>\n\n</think>\n\n' : ''}${content.replace(/^\n+/, '')}<|im_end|>\n`,
  },
};
