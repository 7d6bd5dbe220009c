"""Makes a Hugging Face folder's tokenizer and what transformers does with it: `python make_tokenizer.py SMOLLM2.gguf`.

Deterministic; needs tokenizers, transformers, gguf. tokenizer/: a byte-level BPE tokenizer of 400 tokens with a chat template and a
begin-of-sequence token, and expected.json: ids of texts, chats rendered; also those of the GGUF's own chat template.
"""
import json, pathlib, sys
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

TEXTS = ["The cat sat on the mat, and the mat sat under the cat.", "I'm sure it's 12345 or x²", "  spaces \n\n and\tlines ",
         "naïve café, 漢字 and 😀", "<|user|>Hi<|end|>", "unhappiness, happiness; happily"]
CHATS = [[{"role": "user", "content": "Hi"}],
         [{"role": "system", "content": "Be brief."}, {"role": "user", "content": " What is 2 + 2? "},
          {"role": "assistant", "content": "4"}, {"role": "user", "content": "Why?"}]]
TEMPLATE = ("{{ bos_token }}{% for message in messages %}{% if loop.first and message.role == 'system' %}[{{ message.content | trim }}]\n"
            "{% else %}<|{{ message['role'] }}|>{{ message['content'].strip() }}<|end|>{% if not loop.last %}\n{% endif %}{% endif %}"
            "{% endfor %}{% if add_generation_prompt %}\n<|assistant|>{% endif %}")


def rendered(tokenizer):
    return [tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=generation)
            for chat in CHATS for generation in (False, True)]


def main():
    folder = pathlib.Path(__file__).parent / "tokenizer"
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    inner.decoder = decoders.ByteLevel()
    special = ["<|begin|>", "<|end|>", "<|user|>", "<|assistant|>"]
    inner.train_from_iterator(TEXTS * 3, trainers.BpeTrainer(vocab_size=400, special_tokens=special, show_progress=False,
                                                             initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    inner.post_processor = processors.TemplateProcessing(single="<|begin|> $A", special_tokens=[("<|begin|>", 0)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<|begin|>", eos_token="<|end|>")
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    gguf = pathlib.Path(sys.argv[1])
    (folder / "expected.json").write_text(json.dumps({
        "texts": [{"text": text, "ids": tokenizer(text, add_special_tokens=False).input_ids, "withSpecial": tokenizer(text).input_ids}
                  for text in TEXTS],
        "chats": CHATS, "rendered": rendered(tokenizer),
        "renderedSmolLM2": rendered(AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name))}, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
