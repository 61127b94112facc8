#!/usr/bin/env bash
# Version: transformers 5.23.0, tokenizers 0.23.3
# Behaviour: a call with truncation=True, max_length=2 changes the tokenizer itself: what save_pretrained writes afterwards
#   holds that truncation, and tokenizers.Tokenizer.from_file of it cuts every text to two tokens; transformers does not.
# Why it surprises: arguments of a call look like arguments of a call; which file is saved depends on the last text.
# Who is bitten: who digests tokenizer.json, or serves it with the tokenizers library alone: long texts are cut in silence.
# Seen: saved before and after a call: files differ; "a b a b": transformers 4 tokens, tokenizers 2.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q transformers==5.23.0 tokenizers==0.23.3 huggingface_hub==2.4.0
"$work/venv/bin/python" - "$work" <<'PY'
import pathlib, sys
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

work = pathlib.Path(sys.argv[1])
plain = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1, "b": 2}, unk_token="[UNK]"))
plain.pre_tokenizer = pre_tokenizers.Whitespace()
fast = PreTrainedTokenizerFast(tokenizer_object=plain, unk_token="[UNK]")
fast.save_pretrained(work / "before")
fast("a b a b", truncation=True, max_length=2)
fast.save_pretrained(work / "after")
before, after = ((work / name / "tokenizer.json").read_bytes() for name in ("before", "after"))
again = PreTrainedTokenizerFast.from_pretrained(work / "after")
seen = before != after, len(again("a b a b")["input_ids"]), len(Tokenizer.from_file(str(work / "after" / "tokenizer.json")).encode("a b a b").ids)
print("files differ: {}; transformers {} tokens, tokenizers {}".format(*seen))
if seen != (True, 4, 2):
    sys.exit("changed: truncation is not saved")
PY
