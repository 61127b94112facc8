#!/usr/bin/env bash
# Version: transformers 5.23.0, tokenizers 0.23.3
# Behaviour: beside a config.json of BERT or Qwen 2, AutoTokenizer takes vocabulary, merges and post-processor from tokenizer.json, but not
#   its normalizer and pre-tokenizer: those are built in, whatever the file says. A cased tokenizer becomes an uncased one, a merged
#   number two tokens. Beside one of Qwen 2 no tokenizer_class in tokenizer_config.json changes that; without config.json the same folder
#   gives the file's tokens.
# Why it surprises: tokenizer.json describes the whole tokenizer, and the ids are valid ones: nothing is told.
# Who is bitten: who trains a tokenizer with the tokenizers library, or serves by it what was trained with AutoTokenizer, or the reverse.
#   PreTrainedTokenizerFast(tokenizer_file=...) takes the file as it is.
# Seen: "B-12": file B-12, AutoTokenizer beside BERT b - 12, with do_lower_case false B - 12; "a12": file a 12, beside Qwen 2 a 1 2.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q transformers==5.23.0 tokenizers==0.23.3
TRANSFORMERS_VERBOSITY=error "$work/venv/bin/python" - "$work" <<'PY'
import json
import sys
from pathlib import Path
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "B-12", "B", "b", "-", "12"]
cased = Tokenizer(models.WordPiece({word: at for at, word in enumerate(words)}, unk_token="[UNK]"))
cased.normalizer = normalizers.BertNormalizer(lowercase=False)
cased.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
cased.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
signs = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "12", "<|endoftext|>"]
merging = Tokenizer(models.BPE({sign: at for at, sign in enumerate(signs)}, [("1", "2")]))
merging.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
merging.decoder = decoders.ByteLevel()

bert, qwen = {"model_type": "bert"}, {"model_type": "qwen2"}
for at, (tokenizer, text, config, settings, wanted) in enumerate((
    (cased, "B-12", None, None, "[CLS] B-12 [SEP]"),
    (cased, "B-12", bert, None, "[CLS] b - 12 [SEP]"),
    (cased, "B-12", bert, {"tokenizer_class": "BertTokenizer", "do_lower_case": False}, "[CLS] B - 12 [SEP]"),
    (merging, "a12", None, None, "a 12"),
    (merging, "a12", qwen, None, "a 1 2"),
    (merging, "a12", qwen, {"tokenizer_class": "PreTrainedTokenizerFast"}, "a 1 2"),
    (merging, "a12", qwen, {"tokenizer_class": "TokenizersBackend"}, "a 1 2"),
)):
    folder = Path(sys.argv[1], str(at))
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    for name, value in (("config.json", config), ("tokenizer_config.json", settings)):
        if value:
            (folder / name).write_text(json.dumps(value))
    file = " ".join(tokenizer.encode(text).tokens)
    whole, auto = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json")), AutoTokenizer.from_pretrained(folder)
    whole, auto = (" ".join(each.convert_ids_to_tokens(each(text)["input_ids"])) for each in (whole, auto))
    print(f"{text!r}, {config}, {settings}: file {file!r}, PreTrainedTokenizerFast {whole!r}, AutoTokenizer {auto!r}")
    if whole != file or auto != wanted:
        sys.exit("changed: another part of the file is taken")
PY
