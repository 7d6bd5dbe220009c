"""Tokenizes texts (a JSON list) one at a time on one core with a tokenizer.json; prints seconds and tokens as JSON."""
import json
import sys
import time

from tokenizers import Tokenizer

tokenizer = Tokenizer.from_file(sys.argv[1])
texts = json.load(open(sys.argv[2]))
for text in texts[:100]:
    tokenizer.encode(text, add_special_tokens=False)
started = time.perf_counter()
tokens = sum(len(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts)
print(json.dumps({"seconds": time.perf_counter() - started, "tokens": tokens}))
