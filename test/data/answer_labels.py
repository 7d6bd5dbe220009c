"""transformers' view of which tokens belong to the answer, one example a line, as fixtures/answer-labels.jsonl has it:
`python answer_labels.py SmolLM2-135M-Instruct.Q4_1.gguf ../../resources/examples/held-out.jsonl > fixtures/answer-labels.jsonl`

Tokens are those that begin, by the tokenizer's own offsets, behind the generation prompt.
"""
import json, os, sys
from transformers import AutoTokenizer

folder, name = os.path.split(os.path.abspath(sys.argv[1]))
tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
for line in open(sys.argv[2], encoding="utf-8"):
    e = json.loads(line)
    user = e["instruction"] + ("\n\n" + e["input"] if e["input"] else "")
    messages = [{"role": "user", "content": user}, {"role": "assistant", "content": e["output"]}]
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    prompt = tokenizer.apply_chat_template(messages[:1], tokenize=False, add_generation_prompt=True)
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    labels = [i if begin >= len(prompt) else -100 for i, (begin, _) in zip(encoded["input_ids"], encoded["offset_mapping"])]
    print(json.dumps({"input_ids": encoded["input_ids"], "labels": labels}))
