import pytest
from transformers import AutoTokenizer

from tasks.engines.chat_format import encode_prompts, encode_rows

PROMPTS = [
    [{"role": "user", "content": "2+2?"}],
    [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": "and?"},
    ],
    [{"role": "user", "content": "2+2?"}],
]
ANSWERS = [[{"role": "assistant", "content": text}] for text in ("4", "print(1)\n", "")]


@pytest.fixture
def tokenizer(tiny_llama):
    return AutoTokenizer.from_pretrained(tiny_llama)


def test_prompts_are_encoded_as_the_tokenizer_itself_does(tokenizer):
    expected = [
        tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_dict=False)
        for prompt in PROMPTS
    ]
    assert encode_prompts(tokenizer, PROMPTS) == expected
    assert encode_prompts(tokenizer, []) == []


def test_an_answer_that_was_begun_goes_on_where_it_ends(tokenizer):
    begun = [[*prompt, {"role": "assistant", "content": "x = 1\n"}] for prompt in PROMPTS]
    own = tokenizer("x = 1\n", add_special_tokens=False)["input_ids"]
    expected = [[*ids, *own] for ids in encode_prompts(tokenizer, PROMPTS)]
    assert encode_prompts(tokenizer, begun) == expected
    tokenizer.chat_template = None
    expected = [[*ids, *own] for ids in encode_prompts(tokenizer, PROMPTS)]
    assert encode_prompts(tokenizer, begun) == expected


def test_rows_are_encoded_as_the_tokenizer_itself_does(tokenizer):
    rows = encode_rows(tokenizer, PROMPTS, ANSWERS)
    for prompt, answer, row in zip(PROMPTS, ANSWERS, rows, strict=True):
        whole = tokenizer.apply_chat_template(prompt + answer, return_dict=False)
        assert row.prompt + row.completion == whole
        assert row.completion[-1] == tokenizer.eos_token_id
    assert [row.prompt for row in rows] == encode_prompts(tokenizer, PROMPTS)


def test_without_a_template_contents_are_lines(tokenizer):
    tokenizer.chat_template = None
    (prompt,) = encode_prompts(tokenizer, PROMPTS[1:2])
    assert tokenizer.decode(prompt) == "hi\nyes\nand?\n"
    (row,) = encode_rows(tokenizer, PROMPTS[:1], ANSWERS[:1])
    assert row.prompt == encode_prompts(tokenizer, PROMPTS[:1])[0]
    assert tokenizer.decode(row.completion) == "4<end>"


def test_a_template_that_never_ends_an_answer_gets_an_end(tokenizer):
    tokenizer.chat_template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    (row,) = encode_rows(tokenizer, PROMPTS[:1], ANSWERS[:1])
    assert tokenizer.decode(row.completion) == "<assistant>4<end>"


def test_a_completion_starts_where_the_template_renders_the_prompt_differently(tokenizer):
    # As templates do that open a thinking block only when an answer is asked for.
    tokenizer.chat_template += "{% if add_generation_prompt %}think:{% endif %}"
    (row,) = encode_rows(tokenizer, PROMPTS[:1], [[{"role": "assistant", "content": "then"}]])
    assert tokenizer.decode(row.prompt) == "<user>2+2?<assistant>th"
    assert tokenizer.decode(row.completion) == "en<end>"
