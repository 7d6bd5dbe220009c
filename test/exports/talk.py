"""The next token's log-probabilities by llama.cpp after a prompt with a picture: talk.py MODEL MMPROJ PICTURE... PROMPT, in which {} is the
picture's place. Writes a JSON list with a list of [token, log p] for each picture."""

import base64
import json
import pathlib
import sys
import urllib.request

import xllamacpp

model, mmproj, *pictures, prompt = sys.argv[1:]
options = xllamacpp.CommonParams()
options.model.path, options.mmproj.path = model, mmproj
options.n_ctx, options.n_parallel, options.warmup, options.mmproj_use_gpu = 512, 1, False, False
options.cpuparams.n_threads = 1
server = xllamacpp.Server(options)


def ask(path: str, body: dict | None = None):
    data = body and json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(server.listening_address + path, data, {"Content-Type": "application/json"})) as answer:
        return json.load(answer)


marker = ask("/props")["media_marker"]
told = []
for picture in pictures:
    data = [base64.b64encode(pathlib.Path(picture).read_bytes()).decode()]
    put = {"prompt_string": prompt.replace("{}", marker), "multimodal_data": data}
    # Of an end, or of a part of a character, nothing would be told; the probabilities are those before the grammar.
    answer = ask("/completion", {"prompt": put, "n_predict": 1, "grammar": 'root ::= "a"', "n_probs": 1000, "temperature": 0, "cache_prompt": False})
    told.append([[one["id"], one["logprob"]] for one in answer["completion_probabilities"][0]["top_logprobs"]])
print(json.dumps(told))
