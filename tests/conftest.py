"""What every test gets: no downloads, no deadlines, the published data where it exists."""

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

PROJECT = Path(__file__).parents[1]

# Set before anything imports a Hugging Face library; a test that needs the hub is a mistake.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("DO_NOT_TRACK", "1")

# A deadline would judge a test by how busy the machine is; what fails in CI must fail again.
settings.register_profile("house", deadline=None, derandomize="CI" in os.environ, print_blob=True)
settings.load_profile("house")


# A shell starts what it runs in the background deaf to Ctrl-C, and every child inherits that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Where several processes share the tests: what is costly to start is started by one of them.

    That is an engine for the docker cells, and a Prefect server. Other tests go by their file.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByWhatIsStarted(LoadScopeScheduling):  # type: ignore[misc]  # it ships no types
        def _split_scope(self, nodeid: str) -> str:
            if "docker" in nodeid:
                return "docker"
            if nodeid.startswith("tests/flows/recipes/"):  # each takes longer than a server's start
                return nodeid.partition("::")[0]
            return "flows" if nodeid.startswith("tests/flows/") else nodeid.partition("::")[0]

    return ByWhatIsStarted(config, log)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the published GSM8K and HumanEval files."""
    path = Path(os.environ.get("SELFLOOM_SHARED_DATA") or PROJECT.parent / "shared" / "data")
    if not (path / "gsm8k" / "test.jsonl").is_file():
        reason = (
            f"no gsm8k/test.jsonl in {path}; "
            "set SELFLOOM_SHARED_DATA to the folder that has the published data files"
        )
        # CI has the files: there, a skip would hide that these tests no longer run.
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return path


def _save_tiny_model(folder: Path, family: str) -> Path:
    """A random two-layer model with a byte tokenizer and a chat template, as a model folder."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import (
        LlamaConfig,
        LlamaForCausalLM,
        PreTrainedModel,
        PreTrainedTokenizerFast,
        SmolLM3Config,
        SmolLM3ForCausalLM,
    )

    tokens = ["<pad>", "<end>", "<user>", "<assistant>"]
    tokens += sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: i for i, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<end>",
        additional_special_tokens=["<user>", "<assistant>"],
    )
    wrapped.chat_template = (
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}"
        "{% if m.role == 'assistant' %}<end>{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    shape: dict[str, Any] = {
        "vocab_size": len(tokens),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "tie_word_embeddings": True,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "bos_token_id": None,
    }
    torch.manual_seed(7)
    if family == "llama":
        model: PreTrainedModel = LlamaForCausalLM(LlamaConfig(**shape, initializer_range=0.2))
    else:
        # No layer has rotary positions, as in the seed models.
        config = SmolLM3Config(**shape, initializer_range=0.2, no_rope_layers=[0, 0])
        model = SmolLM3ForCausalLM(config)
    model.save_pretrained(folder)
    wrapped.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a random Llama with 0.1 M parameters; do not write into it."""
    return _save_tiny_model(tmp_path_factory.mktemp("tiny") / "llama", "llama")


@pytest.fixture(scope="session")
def tiny_smollm3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a random SmolLM3 without positions; do not write into it."""
    return _save_tiny_model(tmp_path_factory.mktemp("tiny") / "smollm3", "smollm3")


@pytest.fixture(scope="session")
def object_store_address() -> Iterator[str]:
    """The address of an S3 server on loopback, with an empty bucket named 'bucket'."""
    # moto's server honours conditional uploads (If-None-Match), as S3 does.
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@pytest.fixture
def object_store(object_store_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a bucket, with the environment that reaches it."""
    for name, value in {
        "AWS_ENDPOINT_URL": object_store_address,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "SELFLOOM_CACHE": str(tmp_path / "cache"),
    }.items():
        monkeypatch.setenv(name, value)
    from storage.places import place_of

    place_of("s3://bucket").mkdir(exist_ok=True)
    return "s3://bucket"
