"""Tiny random base models on disk: real architectures, a real tokenizer, thirty thousand weights; and the counts of tests."""

from __future__ import annotations

import json
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

WORDS = (
    "the a of and to in for with on by from is was are has have will be not no more less than year city farm "
    "village plant project company team people energy solar wind water heat storage battery grid steel cement soil "
    "forest river market price cost bank fund tax law rule court school clinic bridge train bus bike road house "
    "roof pump panel turbine pilot trial study report claims shows finds fails grows saves cuts builds opens closes "
    "works stops new old large small cheap clean dirty open public een de het van en in voor met op door stad "
    "boerderij zonnepanelen wind water warmte opslag wet fonds bedrijf mensen bouwt "
)


def pytest_configure() -> None:
    """A shell's background job has Ctrl-C ignored, one under nohup a closed terminal, and so would all that tests interrupt."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give slow tests an hour, where they name no other limit: they are run beside other work."""
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(3600))


def _tokenizer(folder: Path, *, encoder: bool) -> int:
    """Byte-level BPE: any text stays distinct, and no file is fetched. Returns the vocabulary's size."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"] if encoder else ["<|end|>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([WORDS, WORDS.title()] * 20, trainer)
    if encoder:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[(word, tokenizer.token_to_id(word)) for word in ("[CLS]", "[SEP]")]
        )
    tokenizer.save(str(folder / "tokenizer.json"))
    kind = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": special[0]}
    (folder / "tokenizer_config.json").write_text(json.dumps(kind | ({} if encoder else {"eos_token": special[0]})))
    return int(tokenizer.get_vocab_size())


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random BERT: 2 layers, hidden 32, 512 positions."""
    import torch
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("models") / "tiny-encoder"
    folder.mkdir()
    vocabulary = _tokenizer(folder, encoder=True)
    torch.manual_seed(7)
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=512,
        pad_token_id=0,
        initializer_range=0.3,
    )
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random Qwen2: 2 layers, hidden 32, its pad token is its end of text."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    folder = tmp_path_factory.mktemp("models") / "tiny-decoder"
    folder.mkdir()
    vocabulary = _tokenizer(folder, encoder=False)
    torch.manual_seed(7)
    config = Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=64,
        max_position_embeddings=512,
        pad_token_id=0,
        eos_token_id=0,
        bos_token_id=None,
        tie_word_embeddings=True,
        initializer_range=0.3,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    return folder


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what tests recorded: `counted`, the sum over a test's cases, and `seen`, the figures of one case."""
    counted: dict[str, Counter[str]] = {}
    lines = []
    for report in (report for reports in terminalreporter.stats.values() for report in reports):
        for name, value in getattr(report, "user_properties", ()) if getattr(report, "when", "") == "call" else ():
            if name == "counted":
                counted.setdefault(report.nodeid.split("[")[0], Counter()).update(value)
            elif name == "seen":
                lines.append(f"{report.nodeid}: {value}")
    for test, counts in counted.items():
        parts = ", ".join(f"{number:,} {what}" for what, number in sorted(counts.items()))
        lines.append(f"{test}: {counts.total():,} cases: {parts}")
    if lines:
        terminalreporter.section("counts")
        for line in sorted(lines):
            terminalreporter.write_line(line)
