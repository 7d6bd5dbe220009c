"""Makes a tiny processor with its tokenizer, and what transformers makes of conversations with pictures by it: token ids, and which of
them are the assistant's: python make_conversations.py (transformers 5.24, tokenizers 0.22)"""

import json
import pathlib
import shutil

from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import Idefics3ImageProcessorPil, Idefics3Processor, PreTrainedTokenizerFast

here = pathlib.Path(__file__).parent
folder = here / "processor"
shutil.rmtree(folder, ignore_errors=True)
TILES = [f"<row_{row + 1}_col_{column + 1}>" for row in range(4) for column in range(4)]
SPECIAL = ["<|im_start|>", "<end_of_utterance>", "<fake_token_around_image>", "<image>", "<global-img>", *TILES]
TEMPLATE = """<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}{% if message['content'][0]['type'] == 'image' or message['role'] == 'assistant' %}{{ ':' }}{% else %}{{ ': ' }}{% endif %}{% if message['role'] == 'assistant' %}{% generation %} {% for line in message['content'] %}{{ line['text'] }}{% endfor %}<end_of_utterance>
{% endgeneration %}{% else %}{% for line in message['content'] %}{% if line['type'] == 'text' %}{{ line['text'] }}{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>
{% endif %}{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"""

tokenizer = Tokenizer(models.BPE())
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.decoder = decoders.ByteLevel()
text = ["User: What is in the picture? Assistant: A red square and a blue circle.", "How many are there? There are two of them."]
tokenizer.train_from_iterator(text * 3, trainers.BpeTrainer(vocab_size=330, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end_of_utterance>", pad_token="<end_of_utterance>", additional_special_tokens=SPECIAL)
images = Idefics3ImageProcessorPil(size={"longest_edge": 64}, max_image_size={"longest_edge": 16})
processor = Idefics3Processor(images, fast, image_seq_len=4, chat_template=TEMPLATE)
processor.save_pretrained(folder)

picture = {"type": "image"}
say = lambda text: {"type": "text", "text": text}
answer = lambda text: {"role": "assistant", "content": [say(text)]}
CONVERSATIONS = [
    (["plain.png"], [{"role": "user", "content": [picture, say("What is in the picture?")]}, answer("A red square.")]),
    (
        ["gray.png", "plain.jpg"],
        [
            {"role": "user", "content": [say("How many are in "), picture, say(" and in "), picture, say("?")]},
            answer("Two."),
            {"role": "user", "content": [say("What of them?")]},
            answer("A blue circle."),
        ],
    ),
]
cases = []
for names, messages in CONVERSATIONS:
    pictures = iter(Image.open(here / "pictures" / name).convert("RGB") for name in names)
    shown = [{**message, "content": [{"type": "image", "image": next(pictures)} if part is picture else part for part in message["content"]]} for message in messages]
    made = processor.apply_chat_template(shown, tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
    cases.append({"pictures": names, "messages": messages, "ids": list(map(int, made["input_ids"][0])), "answer": list(map(int, made["assistant_masks"][0])), "tiles": int(made["pixel_values"].shape[1]) if hasattr(made["pixel_values"], "shape") else len(made["pixel_values"][0])})
    print(len(cases[-1]["ids"]), sum(cases[-1]["answer"]), cases[-1]["tiles"])
(here / "conversations.json").write_text(json.dumps(cases) + "\n")
