"""What stable-diffusion.cpp paints with single files: python stable_diffusion_cpp.py JOBS.json

A job is a checkpoint and the LoRAs, each by its file or null, that it is painted with in turn. Writes a JSON list of jobs, each a list of pictures of
64 x 64 x 3 numbers from 0 to 255. What the program says of its work goes to stderr.
"""

import json
import sys

from cyllama import sd

sd.set_log_callback(lambda level, text: print(text.rstrip(), file=sys.stderr))
sd.set_progress_callback(lambda *_: None)


def opened(checkpoint):
    options = sd.SDContextParams()
    # Its threads wait for each other by turning, which takes ten times as long where the cores are busy.
    options.model_path, options.n_threads, options.vae_decode_only = checkpoint, 1, True
    # The file's own numbers stay: a LoRA is added to what comes out, not rounded into them.
    options.lora_apply_mode, options.rng_type = sd.LoraApplyMode.AT_RUNTIME, sd.RngType.CPU
    options.enable_mmap, options.free_params_immediately = True, False
    return sd.SDContext(options)


def painted(context, lora):
    options = sd.SDImageGenParams()
    options.prompt, options.width, options.height, options.seed = "a photo of a cat", 64, 64, 7
    sample = options.sample_params
    sample.sample_steps, sample.cfg_scale = 1, 1.0
    sample.sample_method, sample.scheduler = sd.SampleMethod.EULER, sd.Scheduler.DISCRETE
    if lora:
        options.set_loras([{"path": lora, "multiplier": 1.0}])
    (picture,) = context.generate_with_params(options)
    return picture.to_numpy().flatten().tolist()


answers = []
for job in json.load(open(sys.argv[1])):
    context = opened(job["checkpoint"])
    answers.append([painted(context, lora) for lora in job["loras"]])
    context.close()
print(json.dumps(answers))
